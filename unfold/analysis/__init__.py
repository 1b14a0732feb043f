"""The dynamics of a trained network: its state space, trajectories, fixed points and their kinds.

from unfold import analysis

flow = analysis.state_map(model, params, inputs={"x": 1})
found = analysis.fixed_points(flow, analysis.starts(visited, 200))
found.points[0].kind, found.points[0].eigenvalues
"""

from unfold.analysis.fixed_points import FixedPoint as FixedPoint
from unfold.analysis.fixed_points import FixedPoints as FixedPoints
from unfold.analysis.fixed_points import fixed_points as fixed_points
from unfold.analysis.fixed_points import starts as starts
from unfold.analysis.gradient_flow import GradientFlow as GradientFlow
from unfold.analysis.gradient_flow import gradient_flow as gradient_flow
from unfold.analysis.gradient_flow import lyapunov as lyapunov
from unfold.analysis.gradient_picture import draw_gradients as draw_gradients
from unfold.analysis.picture import Format as Format
from unfold.analysis.picture import Panel as Panel
from unfold.analysis.picture import draw_dynamics as draw_dynamics
from unfold.analysis.state_map import StateMap as StateMap
from unfold.analysis.state_map import state_map as state_map
from unfold.analysis.trajectories import Plane as Plane
from unfold.analysis.trajectories import plane_of as plane_of
from unfold.analysis.trajectories import trajectories as trajectories
