const SIZE = 8; // pixels of an image, along each axis
const FINE = 8; // dots of a pixel along each axis, of which the ink is counted
const WIDEST = 6.4; // pixels: few of the digits that the network knows are wider
const [THINNEST, THICKEST] = [0.6, 3]; // lines, in pixels
const MOST = 200; // steps of one training
const HEIGHT = 224; // of the curve

const find = (id) => document.getElementById(id);
const canvas = find("drawing");
const paper = canvas.getContext("2d");
const fine = document.createElement("canvas");
fine.width = fine.height = SIZE * FINE;
const dots = fine.getContext("2d", { willReadFrequently: true });
const dark = window.matchMedia("(prefers-color-scheme: dark)");

let strokes = []; // of the drawing: lists of points [x, y], in widths of the canvas
let shown = null; // the image that is read: 64 numbers from 0 to 1
let drawings = []; // images with their labels
let losses = [];
let isTraining = false;
let predict, train;

// --- the network ---------------------------------------------------------------------------------

function decoded(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function loaded({ about, simd, scalar }) {
  return new Step(await WebAssembly.compile(decoded(hasSimd() ? simd : scalar)), about);
}

/** Sets both steps to what the page came with. */
function restore() {
  const values = Object.entries(DATA.tensors).map(([name, { dtype, content }]) => [
    name,
    new ARRAYS[dtype](decoded(content).buffer),
  ]);
  for (const step of [predict, train]) {
    step.reset();
    step.loadStateDict(Object.fromEntries(values), { strict: false });
  }
}

function best(chances) {
  return chances.indexOf(Math.max(...chances));
}

// --- from lines to an image ----------------------------------------------------------------------

/** Returns the image of lines, as the digits were made that the network knows: as high as the image,
 * in the middle, and with as much ink as they have on average. */
function imageOf(lines) {
  let [low, high] = [THINNEST, THICKEST];
  for (let round = 0; round < 7; round += 1) {
    const middle = (low + high) / 2;
    const ink = raster(lines, middle).reduce((sum, value) => sum + value, 0);
    [low, high] = ink > DATA.ink ? [low, middle] : [middle, high];
  }
  return raster(lines, low);
}

function raster(lines, thickness) {
  const points = lines.flat();
  const [left, right, top, bottom] = [
    Math.min(...points.map(([x]) => x)),
    Math.max(...points.map(([x]) => x)),
    Math.min(...points.map(([, y]) => y)),
    Math.max(...points.map(([, y]) => y)),
  ];
  const [width, height] = [right - left, bottom - top];
  const scale = (SIZE - thickness) / Math.max(height, width / 2, 0.05);
  const narrow = Math.min(1, (WIDEST - thickness) / Math.max(width * scale, 1e-6));
  dots.clearRect(0, 0, fine.width, fine.height);
  dots.lineCap = dots.lineJoin = "round";
  dots.lineWidth = thickness * FINE;
  for (const line of lines) {
    trace(dots, line, ([x, y]) => [
      (SIZE / 2 + (x - (left + right) / 2) * scale * narrow) * FINE,
      (SIZE / 2 + (y - (top + bottom) / 2) * scale) * FINE,
    ]);
  }
  const { data } = dots.getImageData(0, 0, fine.width, fine.height);
  const image = new Float32Array(SIZE * SIZE);
  for (let dot = 0; dot < fine.width * fine.height; dot += 1) {
    const [row, column] = [Math.floor(dot / fine.width / FINE), Math.floor((dot % fine.width) / FINE)];
    image[row * SIZE + column] += data[4 * dot + 3] / 255 / (FINE * FINE);
  }
  return image;
}

/** Draws a line through points; a single one is a dot. */
function trace(context, line, placed) {
  context.beginPath();
  context.moveTo(...placed(line[0]));
  for (const point of line.length > 1 ? line.slice(1) : line) {
    context.lineTo(...placed(point));
  }
  context.stroke();
}

// --- drawing and reading -------------------------------------------------------------------------

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function drawPaper() {
  paper.clearRect(0, 0, canvas.width, canvas.height);
  paper.strokeStyle = color("--ink");
  paper.lineCap = paper.lineJoin = "round";
  paper.lineWidth = 0.07 * canvas.width;
  for (const line of strokes) {
    trace(paper, line, ([x, y]) => [x * canvas.width, y * canvas.height]);
  }
  if (shown !== null && !strokes.length) {
    drawImage(paper, shown, canvas.width / SIZE);
  }
}

/** Draws an image with squares of a size. */
function drawImage(context, image, size) {
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  context.fillStyle = color("--ink");
  image.forEach((value, place) => {
    context.globalAlpha = value;
    context.fillRect((place % SIZE) * size, Math.floor(place / SIZE) * size, size, size);
  });
  context.globalAlpha = 1;
}

function show(image) {
  shown = image;
  drawPaper();
  drawImage(find("seen").getContext("2d"), image ?? new Float32Array(0), 1);
  for (const button of document.querySelectorAll("[data-label]")) {
    button.disabled = image === null;
  }
  read();
}

function read() {
  const chances = shown === null ? new Float32Array(10) : predict.step(shown);
  const digit = best(chances);
  [...find("chances").children].forEach((row, number) => {
    const percent = 100 * chances[number];
    row.classList.toggle("best", shown !== null && number === digit);
    row.querySelector("b").style.width = `${percent}%`;
    row.querySelector("output").textContent = `${percent.toFixed(0)}%`;
  });
  const sure = (100 * chances[digit]).toFixed(0);
  find("verdict").textContent = shown === null ? "Draw a digit." : `It reads ${digit}, ${sure}% sure.`;
}

function placeOf(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

let isWaiting = false;

/** Reads the drawing before the next picture of the screen. */
function readSoon() {
  drawPaper();
  if (!isWaiting) {
    isWaiting = true;
    requestAnimationFrame(() => {
      isWaiting = false;
      if (strokes.length) {
        show(imageOf(strokes));
      }
    });
  }
}

function begin(event) {
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  strokes.push([placeOf(event)]);
  readSoon();
}

function move(event) {
  if (canvas.hasPointerCapture(event.pointerId) && strokes.length) {
    const events = event.getCoalescedEvents?.() ?? [];
    strokes.at(-1).push(...(events.length ? events : [event]).map(placeOf));
    readSoon();
  }
}

function clear() {
  strokes = [];
  show(null);
}

function showExample() {
  strokes = [];
  const example = DATA.examples[Math.floor(Math.random() * DATA.examples.length)];
  show(Float32Array.from(decoded(example), (value) => value / 16));
}

// --- learning ------------------------------------------------------------------------------------

function keep(label) {
  const picture = document.createElement("canvas");
  picture.width = picture.height = SIZE;
  const button = document.createElement("button");
  button.type = "button";
  button.append(picture, document.createElement("span"));
  const row = document.createElement("li");
  row.append(button);
  find("drawings").append(row);
  const drawing = { image: shown, label, picture, button, row };
  button.addEventListener("click", () => remove(drawing));
  drawings.push(drawing);
  drawImage(picture.getContext("2d"), shown, 1);
  clear();
  tell();
}

function remove(drawing) {
  drawings = drawings.filter((one) => one !== drawing);
  drawing.row.remove();
  tell();
}

/** Says how the network reads the drawings, and what can be done. */
function tell() {
  let right = 0;
  for (const { image, label, button } of drawings) {
    const digit = best(predict.step(image));
    const isRight = digit === label;
    right += isRight;
    button.lastChild.textContent = isRight ? `${label} \u2713` : `${label}, not ${digit}`;
    button.classList.toggle("wrong", !isRight);
    button.title = `Remove this ${label}, which it reads as ${digit}`;
  }
  find("train").disabled = !drawings.length && !isTraining;
  find("progress").ariaBusy = isTraining; // it is not read aloud at each step
  find("train").textContent = isTraining ? "Stop" : "Train";
  find("forget").disabled = !losses.length;
  const steps = losses.length ? `Step ${losses.length}, loss ${losses.at(-1).toFixed(3)}. ` : "";
  const count = drawings.length;
  const many = count === 1 ? "your drawing" : `your ${count} drawings`;
  find("progress").textContent = count ? `${steps}It reads ${right} of ${many} right.` : "No drawings yet.";
}

/** Trains on drawings that are chosen at random. */
function trainStep() {
  const count = DATA.batch;
  const images = new Float32Array(count * SIZE * SIZE);
  const labels = new BigInt64Array(count);
  for (let place = 0; place < count; place += 1) {
    const { image, label } = drawings[Math.floor(Math.random() * drawings.length)];
    images.set(image, place * SIZE * SIZE);
    labels[place] = BigInt(label);
  }
  losses.push(train.step(images, labels)[0]);
}

/** Trains a step before each picture of the screen. */
function training(left) {
  if (!isTraining || !left || !drawings.length) {
    isTraining = false;
    tell();
    return;
  }
  trainStep();
  predict.loadStateDict(train.stateDict(), { strict: false });
  read();
  tell();
  drawCurve();
  requestAnimationFrame(() => training(left - 1));
}

function startOrStop() {
  isTraining = !isTraining;
  if (isTraining) {
    training(MOST);
  }
}

function forget() {
  isTraining = false;
  losses = [];
  restore();
  read();
  tell();
  drawCurve();
}

// --- the curve -----------------------------------------------------------------------------------

function shape(name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.textContent = text;
  return made;
}

/** Returns a step of 1, 2 or 5 times a power of ten, of which at most `most` fit. */
function gridStep(range, most) {
  const power = 10 ** Math.floor(Math.log10(range / most));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => range / step <= most);
}

function drawCurve() {
  const curve = find("curve");
  const width = curve.clientWidth;
  const [left, right, bottom] = [44, 16, 38];
  const steps = Math.max(losses.length, 10);
  const top = Math.max(...losses, 1) * 1.05;
  const x = (step) => left + ((step - 1) / (steps - 1)) * (width - left - right);
  const y = (loss) => HEIGHT - bottom - (loss / top) * (HEIGHT - bottom - 8);
  curve.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  const parts = [];
  const stepY = gridStep(top, 5);
  for (let loss = 0; loss <= top; loss += stepY) {
    parts.push(shape("line", { x1: left, x2: width - right, y1: y(loss), y2: y(loss) }));
    const digits = stepY < 1 ? 1 : 0;
    parts.push(shape("text", { x: left - 8, y: y(loss) + 4, "text-anchor": "end" }, loss.toFixed(digits)));
  }
  const stepX = Math.max(1, gridStep(steps, 8));
  for (let step = stepX; step <= steps; step += stepX) {
    parts.push(shape("text", { x: x(step), y: HEIGHT - bottom + 16, "text-anchor": "middle" }, step));
  }
  parts.push(shape("text", { x: width - right, y: HEIGHT - 5, "text-anchor": "end" }, "training step"));
  const points = losses.map((loss, place) => `${x(place + 1)},${y(loss)}`).join(" ");
  parts.push(shape("polyline", { points }));
  curve.replaceChildren(...parts);
}

// --- start ---------------------------------------------------------------------------------------

function redraw() {
  show(shown);
  drawings.forEach(({ image, picture }) => drawImage(picture.getContext("2d"), image, 1));
}

async function start() {
  [predict, train] = await Promise.all([loaded(DATA.predict), loaded(DATA.train)]);
  restore();
  canvas.addEventListener("pointerdown", begin);
  canvas.addEventListener("pointermove", move);
  find("clear").addEventListener("click", clear);
  find("example").addEventListener("click", showExample);
  find("train").addEventListener("click", startOrStop);
  find("forget").addEventListener("click", forget);
  for (const button of document.querySelectorAll("[data-label]")) {
    button.addEventListener("click", () => keep(Number(button.dataset.label)));
  }
  dark.addEventListener("change", redraw);
  window.addEventListener("resize", drawCurve);
  show(null);
  drawCurve();
}

start().catch((error) => {
  find("problem").textContent = `The network cannot run in this browser: ${error.message}`;
  find("problem").hidden = false;
});
