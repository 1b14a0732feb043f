// Zoom and pan: an element that is moved and scaled within another, by mouse, finger and keyboard.
//
// A wheel zooms while Ctrl is held, or after a click into the picture; otherwise the page scrolls. One
// finger moves sideways and leaves up and down to the page; two fingers zoom.

export interface Transform {
  k: number;
  x: number;
  y: number;
}

const STEP = 1.35;
const CLOSEST = 4;
const SETTLED = 140;
const CLICK = 4;

export class Viewport {
  transform: Transform = { k: 1, x: 0, y: 0 };
  private readonly pointers = new Map<number, PointerEvent>();
  private moved = false;
  private timer = 0;
  private frame = 0;
  private fitted = true;

  constructor(
    readonly view: HTMLElement,
    readonly stage: HTMLElement,
    readonly size: [number, number],
    private readonly changed: (moving: boolean) => void,
  ) {
    view.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    view.addEventListener("pointerdown", (event) => this.down(event));
    view.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel", "pointerleave"] as const) {
      view.addEventListener(name, (event) => this.up(event));
    }
    view.addEventListener("dblclick", (event) => this.zoom(STEP * STEP, this.at(event)));
    view.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => {
      if (this.fitted) this.fit();
      else this.show(false);
    }).observe(view);
  }

  /** Whether the last press was a drag, so that it is no click. */
  get dragged(): boolean {
    return this.moved;
  }

  private get middle(): [number, number] {
    return [this.view.clientWidth / 2, this.view.clientHeight / 2];
  }

  private get farthest(): number {
    const [width, height] = this.size;
    return Math.min(this.view.clientWidth / width, this.view.clientHeight / height);
  }

  /** Show the whole picture. */
  fit(): void {
    const k = Math.min(this.farthest, 1.5);
    const [x, y] = this.middle;
    this.set({ k, x: x - (k * this.size[0]) / 2, y: y - (k * this.size[1]) / 2 }, false);
    this.fitted = true;
  }

  zoom(factor: number, [x, y]: [number, number] = this.middle): void {
    const old = this.transform;
    const k = Math.min(CLOSEST, Math.max(this.farthest * 0.8, old.k * factor));
    this.set({ k, x: x - ((x - old.x) * k) / old.k, y: y - ((y - old.y) * k) / old.k }, true);
  }

  pan(x: number, y: number): void {
    this.set({ ...this.transform, x: this.transform.x + x, y: this.transform.y + y }, true);
  }

  /** Move a place of the picture into the middle, close enough to read. */
  reveal(x: number, y: number): void {
    const k = Math.max(this.transform.k, Math.min(1, CLOSEST));
    const [middle, centre] = this.middle;
    this.set({ k, x: middle - k * x, y: centre - k * y }, false);
  }

  /** Whether a place of the picture is in view. */
  sees(x: number, y: number): boolean {
    const { k, x: left, y: top } = this.transform;
    const [a, b] = [k * x + left, k * y + top];
    return a > 10 && b > 10 && a < this.view.clientWidth - 10 && b < this.view.clientHeight - 10;
  }

  private set(next: Transform, moving: boolean): void {
    const [width, height] = this.size;
    const inside = (at: number, length: number, room: number) =>
      Math.max(Math.min(at, room - Math.min(40, room / 2)), Math.min(40, room / 2) - length);
    this.transform = {
      k: next.k,
      x: inside(next.x, next.k * width, this.view.clientWidth),
      y: inside(next.y, next.k * height, this.view.clientHeight),
    };
    this.fitted = false;
    this.show(moving);
  }

  private show(moving: boolean): void {
    const { k, x, y } = this.transform;
    this.stage.style.transform = `translate(${x}px, ${y}px) scale(${k})`;
    if (moving) {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.changed(false), SETTLED);
    }
    if (!this.frame) {
      this.frame = requestAnimationFrame(() => {
        this.frame = 0;
        this.changed(moving);
      });
    }
  }

  private at(event: MouseEvent): [number, number] {
    const box = this.view.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  private wheel(event: WheelEvent): void {
    const active = event.ctrlKey || event.metaKey || this.view.matches(":focus, .expanded *");
    if (active && Math.abs(event.deltaY) >= Math.abs(event.deltaX)) {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
      this.zoom(Math.exp((-event.deltaY * lines) / (event.ctrlKey ? 120 : 400)), this.at(event));
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.pan(-event.deltaX, 0);
    }
  }

  private down(event: PointerEvent): void {
    this.pointers.set(event.pointerId, event);
    this.moved = this.pointers.size > 1;
  }

  private drag(event: PointerEvent): void {
    const old = this.pointers.get(event.pointerId);
    if (!old) return;
    const [x, y] = [event.clientX - old.clientX, event.clientY - old.clientY];
    if (!this.moved && Math.hypot(x, y) < CLICK) return;
    if (!this.moved) this.view.setPointerCapture(event.pointerId);
    this.moved = true;
    const other = [...this.pointers.values()].find((p) => p.pointerId !== event.pointerId);
    if (other) {
      const before = Math.hypot(old.clientX - other.clientX, old.clientY - other.clientY);
      const after = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
      const box = this.view.getBoundingClientRect();
      const centre: [number, number] = [
        (event.clientX + other.clientX) / 2 - box.left,
        (event.clientY + other.clientY) / 2 - box.top,
      ];
      this.zoom(after / Math.max(before, 1), centre);
      this.pan(x / 2, y / 2);
    } else {
      this.pan(x, y);
    }
    this.pointers.set(event.pointerId, event);
  }

  private up(event: PointerEvent): void {
    if (event.type === "pointerleave" && this.view.hasPointerCapture(event.pointerId)) return;
    this.pointers.delete(event.pointerId);
  }

  private key(event: KeyboardEvent): void {
    const moves: Record<string, () => void> = {
      "+": () => this.zoom(STEP),
      "=": () => this.zoom(STEP),
      "-": () => this.zoom(1 / STEP),
      "0": () => this.fit(),
      ArrowLeft: () => this.pan(60, 0),
      ArrowRight: () => this.pan(-60, 0),
      ArrowUp: () => this.pan(0, 60),
      ArrowDown: () => this.pan(0, -60),
    };
    const move = moves[event.key];
    if (!move || event.target !== this.view || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    move();
  }
}
