// Draws the wall on a canvas. A change of state repaints the squares concerned, nothing else.
import { MARKS, STATES, colourOf } from "./marks.js";

/** @typedef {import("./layout.js").Layout} Layout */

const FIELD = 12;
const DIM = 0.2;
const FAINT_LINES = 0.3;

export class Painter {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {Layout | null} */
    this.layout = null;
    this.sprites = document.createElement("canvas");
    this.border = "";
  }

  /**
   * Draw everything anew: another layout, theme or filter.
   * @param {Layout} layout
   * @param {Uint8Array} states number of the state by channel index
   * @param {(index: number) => boolean} lit false = outside of the filter, drawn faint
   * @param {boolean} filtered some may be faint: then the lines step back, too
   */
  paintAll(layout, states, lit, filtered) {
    this.layout = layout;
    this.canvas.width = layout.width;
    this.canvas.height = layout.height;
    this.#makeSprites(layout.size);
    for (const { group } of layout.blocks) {
      for (const index of group.indices) this.#square(index, states[index], lit(index));
    }
    this.context.globalAlpha = filtered ? FAINT_LINES : 1;
    this.#borders(layout);
    this.context.globalAlpha = 1;
  }

  /**
   * Repaint some squares; the number painted.
   * @param {Iterable<number>} indices @param {Uint8Array} states @param {(index: number) => boolean} lit
   */
  paint(indices, states, lit) {
    if (!this.layout) return 0;
    const { x, y, size } = this.layout;
    let painted = 0;
    for (const index of indices) {
      if (x[index] < 0) continue;
      this.context.clearRect(x[index], y[index], size, size);
      this.#square(index, states[index], lit(index));
      painted += 1;
    }
    return painted;
  }

  /** @param {number} index @param {number} state @param {boolean} lit */
  #square(index, state, lit) {
    const { x, y, size } = /** @type {Layout} */ (this.layout);
    const row = lit ? 0 : size;
    this.context.drawImage(this.sprites, state * size, row, size, size, x[index], y[index], size, size);
  }

  /** One picture a state, bright above faint. @param {number} size */
  #makeSprites(size) {
    const style = getComputedStyle(this.canvas);
    this.border = style.getPropertyValue("--village").trim();
    this.sprites.width = size * STATES.length;
    this.sprites.height = size * 2;
    const context = /** @type {CanvasRenderingContext2D} */ (this.sprites.getContext("2d"));
    STATES.forEach((state, i) => {
      for (const row of [0, 1]) {
        context.setTransform(size / FIELD, 0, 0, size / FIELD, i * size, row * size);
        context.globalAlpha = row === 0 ? 1 : DIM;
        context.fillStyle = style.getPropertyValue(colourOf(state)).trim();
        context.fill(new Path2D(MARKS[state].body));
        if (!MARKS[state].cut) continue;
        context.globalAlpha = 1;
        context.globalCompositeOperation = "destination-out";
        context.fill(new Path2D(MARKS[state].cut));
        context.globalCompositeOperation = "source-over";
      }
    });
  }

  /** Thin lines between the villages of a township, in the gaps between squares. @param {Layout} layout */
  #borders({ blocks, pitch, size, perRow }) {
    const gap = pitch - size;
    const thin = Math.min(gap, Math.max(1, Math.round(window.devicePixelRatio)));
    const inset = Math.ceil((gap + thin) / 2);
    const { context } = this;
    context.fillStyle = this.border;
    for (const block of blocks) {
      const { length } = block.group.indices;
      for (const place of block.group.breaks) {
        const column = place % perRow;
        const row = Math.floor(place / perRow);
        const x = block.x + column * pitch - inset;
        const y = block.top + row * pitch - inset;
        const right = Math.min(perRow, length - row * perRow) - column;
        const below = Math.min(column, Math.max(0, length - (row + 1) * perRow));
        if (row > 0) context.fillRect(x, y, right * pitch, thin);
        if (column > 0) context.fillRect(x, y, thin, pitch + (below > 0 ? thin : 0));
        if (below > 0) context.fillRect(block.x, y + pitch, below * pitch - inset, thin);
      }
    }
  }
}
