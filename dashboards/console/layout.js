// Where each square of the wall stands: a pure function of the groups and the space. All lengths
// are device pixels, so that squares stay sharp at any scaling of the screen.

/**
 * @typedef {object} Group
 * @property {string} key
 * @property {string} name
 * @property {number[]} indices channels in display order
 * @property {number[]} breaks positions in `indices` where a new part (village) begins
 */

/**
 * @typedef {object} Block one group on the wall
 * @property {Group} group
 * @property {number} x left edge
 * @property {number} y top of the heading
 * @property {number} top of the first row of squares
 * @property {number} width of the column
 * @property {number} rows
 */

/**
 * @typedef {object} Layout
 * @property {number} pitch from one square to the next
 * @property {number} size of a square
 * @property {number} perRow squares in a row
 * @property {number} width
 * @property {number} height
 * @property {Block[]} blocks
 * @property {Int32Array} x left edge by channel index, -1 = not on the wall
 * @property {Int32Array} y top edge by channel index
 */

/** Lengths in CSS pixels. */
const HEADING = 21;
const BLOCK_GAP = 9;
const BLOCK_GAP_MAX = 28;
const COLUMN_GAP = 14;
const COLUMN_MIN = 158;
const PITCH_MIN = 6;
const PITCH_MAX = 26;

/**
 * The biggest squares with which everything fits; the smallest ones, scrolling, when nothing does.
 * @param {Group[]} groups
 * @param {number} channels how many indices there are
 * @param {number} width @param {number} height device pixels
 * @param {number} scale device pixels a CSS pixel
 * @returns {Layout}
 */
export function arrange(groups, channels, width, height, scale) {
  const px = (/** @type {number} */ css) => Math.round(css * scale);
  const most = Math.max(1, Math.floor((width + px(COLUMN_GAP)) / px(COLUMN_MIN + COLUMN_GAP)));
  /** @type {{ pitch: number, columns: number, tall: number } | null} */
  let best = null;
  for (let pitch = px(PITCH_MAX); pitch >= px(PITCH_MIN) && !(best && best.tall <= height); pitch--) {
    best = null;
    for (let columns = 1; columns <= Math.min(most, groups.length || 1); columns++) {
      const heights = groups.map((g) => blockHeight(g, pitch, columnWidth(columns)));
      const tall = shortestColumn(heights, columns, px(BLOCK_GAP));
      if (!best || tall < best.tall) best = { pitch, columns, tall };
    }
  }
  const chosen = best ?? { pitch: px(PITCH_MIN), columns: 1, tall: 0 };
  return place(chosen);

  /** @param {number} columns */
  function columnWidth(columns) {
    return Math.floor((width - px(COLUMN_GAP) * (columns - 1)) / columns);
  }

  /** @param {Group} group @param {number} pitch @param {number} wide */
  function blockHeight(group, pitch, wide) {
    const perRow = Math.max(1, Math.floor(wide / pitch));
    return px(HEADING) + Math.ceil(group.indices.length / perRow) * pitch;
  }

  /** @param {{ pitch: number, columns: number, tall: number }} choice @returns {Layout} */
  function place({ pitch, columns, tall }) {
    const wide = columnWidth(columns);
    const perRow = Math.max(1, Math.floor(wide / pitch));
    const size = pitch - Math.max(1, Math.round(pitch * 0.14));
    const heights = groups.map((g) => blockHeight(g, pitch, wide));
    const starts = columnStarts(heights, tall, px(BLOCK_GAP));
    const gap = roomyGap(heights, starts);
    const x = new Int32Array(channels).fill(-1);
    const y = new Int32Array(channels).fill(-1);
    /** @type {Block[]} */
    const blocks = [];
    let left = 0;
    let at = 0;
    groups.forEach((group, n) => {
      if (n > 0 && starts.includes(n)) {
        left += wide + px(COLUMN_GAP);
        at = 0;
      }
      const top = at + px(HEADING);
      blocks.push({ group, x: left, y: at, top, width: wide, rows: (heights[n] - px(HEADING)) / pitch });
      group.indices.forEach((index, i) => {
        x[index] = left + (i % perRow) * pitch;
        y[index] = top + Math.floor(i / perRow) * pitch;
      });
      at += heights[n] + gap;
    });
    const bottom = Math.max(1, ...blocks.map((block) => block.top + block.rows * pitch));
    return { pitch, size, perRow, width, height: bottom, blocks, x, y };
  }

  /** Room that is left goes between the blocks. @param {number[]} heights @param {number[]} starts */
  function roomyGap(heights, starts) {
    const gaps = starts.map((from, n) => {
      const column = heights.slice(from, starts[n + 1]);
      const free = height - column.reduce((sum, h) => sum + h, 0);
      return column.length > 1 ? Math.floor(free / (column.length - 1)) : px(BLOCK_GAP_MAX);
    });
    return Math.max(px(BLOCK_GAP), Math.min(px(BLOCK_GAP_MAX), ...gaps));
  }
}

/**
 * The least height of `columns` columns that take the blocks in order.
 * @param {number[]} heights @param {number} columns @param {number} gap
 */
function shortestColumn(heights, columns, gap) {
  let low = Math.max(0, ...heights);
  let high = heights.reduce((sum, h) => sum + h + gap, 0);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (columnStarts(heights, middle, gap).length <= columns) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Which block begins each column when no column is taller than `tall`.
 * @param {number[]} heights @param {number} tall @param {number} gap
 */
function columnStarts(heights, tall, gap) {
  const starts = [0];
  let at = 0;
  heights.forEach((height, n) => {
    if (at > 0 && at + height > tall) {
      starts.push(n);
      at = 0;
    }
    at += height + gap;
  });
  return starts;
}

/**
 * The channel below a point, or -1.
 * @param {Layout} layout @param {number} x @param {number} y device pixels
 */
export function channelAt(layout, x, y) {
  for (const block of layout.blocks) {
    const column = Math.floor((x - block.x) / layout.pitch);
    const row = Math.floor((y - block.top) / layout.pitch);
    if (column < 0 || column >= layout.perRow || row < 0 || row >= block.rows) continue;
    return block.group.indices[row * layout.perRow + column] ?? -1;
  }
  return -1;
}

/**
 * The channel reached from another by an arrow key; the same one at the edge of the wall.
 * @param {Layout} layout @param {number} from channel index, -1 = none yet @param {string} key
 */
export function channelBeside(layout, from, key) {
  const at = layout.blocks.findIndex((block) => block.group.indices.includes(from));
  if (at < 0) return layout.blocks[0]?.group.indices[0] ?? -1;
  const { indices } = layout.blocks[at].group;
  const place = indices.indexOf(from);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -layout.perRow, ArrowDown: layout.perRow }[key];
  if (step === undefined) return from;
  const target = place + step;
  if (target >= 0 && target < indices.length) return indices[target];
  const sameColumn = Math.floor(place / layout.perRow) < Math.floor((indices.length - 1) / layout.perRow);
  if (key === "ArrowDown" && sameColumn) return indices[indices.length - 1];
  const other = layout.blocks[at + Math.sign(step)]?.group.indices;
  if (!other) return from;
  const column = place % layout.perRow;
  if (key === "ArrowDown") return other[Math.min(column, other.length - 1)];
  if (key === "ArrowUp") {
    const lastRow = Math.floor((other.length - 1) / layout.perRow) * layout.perRow;
    return other[Math.min(lastRow + column, other.length - 1)];
  }
  return key === "ArrowLeft" ? other[other.length - 1] : other[0];
}
