// The pictures of the next question: chosen, pasted or dropped, shown small, and scaled down before they are kept.
//
//   a picture is {id, name}: storage.js keeps its data: URL under the id

import { $, announce, element, setText } from "./dom.js";
import { chosen, onChoice, seeing, sees } from "./models.js";
import { getPicture, holdPicture } from "./storage.js";
import { textOf } from "./texts.js";

const EDGE = 1568; // of the longer side, in pixels: models see no more
const MOST = 8; // in one question
const MOST_BYTES = 1_000_000; // of a file that is kept as it is
const KEPT = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const QUALITY = 0.88;
const HEIC = /\.hei[cf]s?$/i; // names of photos whose type some systems do not know

let pictures = [];
let notes = []; // of files that were not taken, until more are added
let adding = Promise.resolve();

// What the next question shows, once all of it has been read.
export async function waiting() {
  await adding;
  return pictures;
}

export function clear() {
  pictures = [];
  notes = [];
  draw();
}

// Whether the chosen model can be asked about them; the page says so where it cannot.
export function canShow() {
  return !pictures.length || sees(chosen);
}

function draw() {
  $("pictures").replaceChildren(...pictures.map(thumbnail));
  $("pictures").hidden = !pictures.length;
  $("add-picture").hidden = !sees(chosen);
  const said = canShow() ? notes.join(" ") : blindWords();
  $("picture-note").hidden = !said;
  setText($("picture-note"), said);
}

function blindWords() {
  const others = seeing().slice(0, 3).join(", ");
  return others ? textOf("chat.model_blind", { model: chosen, others }) : textOf("chat.no_model_sees");
}

function thumbnail(picture) {
  const button = element("button", ["×"], { type: "button", className: "quiet" });
  button.setAttribute("aria-label", textOf("chat.remove_picture", { name: picture.name }));
  button.addEventListener("click", () => remove(picture));
  return element("li", [imageOf(picture), button]);
}

export function imageOf({ id, name }) {
  const image = element("img", [], { alt: name });
  getPicture(id).then((url) => {
    if (url) image.src = url;
  });
  return image;
}

function remove(picture) {
  pictures = pictures.filter((one) => one !== picture);
  draw();
  announce(textOf("chat.picture_removed", { name: picture.name }));
  $("prompt").focus({ preventScroll: true });
}

function add(files) {
  if (!sees(chosen)) {
    $("picture-note").hidden = false;
    setText($("picture-note"), blindWords());
    return;
  }
  adding = adding.then(() => addAll(files));
}

async function addAll(files) {
  notes = [];
  for (const [place, file] of files.entries()) {
    if (pictures.length >= MOST) {
      notes.push(textOf("chat.too_many_pictures", { count: MOST, left: files.length - place }));
      break;
    }
    const name = file.name || textOf("chat.picture");
    try {
      pictures.push({ id: holdPicture(await asUrl(file)), name });
      announce(textOf("chat.picture_added", { name }));
    } catch {
      notes.push(whyNot(file, name));
    }
    draw();
  }
  draw();
}

// Some browsers read HEIC: only where that failed is it said.
function whyNot(file, name) {
  if (isHeic(file)) return textOf("chat.heic_picture", { name });
  return isImage(file) ? textOf("chat.no_picture", { name }) : textOf("chat.other_file", { name });
}

function isHeic({ name, type }) {
  return /^image\/hei[cf]/.test(type) || HEIC.test(name);
}

// A file as a data: URL: as it is where it is small, else scaled down and written anew.
async function asUrl(file) {
  const image = await createImageBitmap(file);
  const scale = Math.min(1, EDGE / Math.max(image.width, image.height));
  if (scale === 1 && file.size <= MOST_BYTES && KEPT.includes(file.type)) return read(file);
  const canvas = element("canvas", [], { width: Math.max(1, Math.round(image.width * scale)), height: Math.max(1, Math.round(image.height * scale)) });
  const brush = canvas.getContext("2d");
  brush.fillStyle = "white"; // JPEG knows nothing transparent
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.imageSmoothingQuality = "high";
  brush.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", QUALITY);
}

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function isImage(file) {
  return file.type.startsWith("image/") || isHeic(file);
}

function filesOf(data) {
  return [...(data?.files ?? [])];
}

function dragged(event, isOver) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault(); // else the browser would leave the page for the file
  $("composer").classList.toggle("dropping", isOver && sees(chosen));
}

export function start() {
  $("add-picture").addEventListener("click", () => $("picture-file").click());
  $("picture-file").addEventListener("change", () => {
    add([...$("picture-file").files]);
    $("picture-file").value = "";
    $("prompt").focus({ preventScroll: true });
  });
  $("prompt").addEventListener("paste", (event) => {
    const found = filesOf(event.clipboardData);
    if (!found.length) return;
    if (found.some(isImage)) event.preventDefault(); // else its text is pasted
    add(found);
  });
  document.addEventListener("dragover", (event) => dragged(event, true));
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && dragged(event, false));
  document.addEventListener("drop", (event) => {
    dragged(event, false);
    const found = filesOf(event.dataTransfer);
    if (found.length) add(found);
  });
  onChoice(draw);
  draw();
}
