/** Split-flap text: one tile per character, of which only those that change are turned. */

const STAGGER = 18; // ms between neighbouring tiles
const TURN = 240; // ms that a tile turns
const EDGE = 0.4; // the part of its turn after which a tile stands on edge

const TURNING = [
  { transform: "none" },
  { transform: "perspective(9em) rotateX(-88deg)", filter: "brightness(0.5)", offset: EDGE },
  { transform: "perspective(9em) rotateX(88deg)", filter: "brightness(1.7)", offset: EDGE },
  { transform: "none" },
];
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** A run of `length` tiles. `show` turns them to a text; it is cut or padded to fit. */
export class Flaps {
  #tiles = [];
  #text;

  constructor(length, kind) {
    this.#text = " ".repeat(length);
    this.element = document.createElement("span");
    this.element.className = `flaps ${kind}`;
    this.element.setAttribute("aria-hidden", "true");
    for (let i = 0; i < length; i += 1) {
      const tile = document.createElement("i");
      this.#tiles.push(tile);
      this.element.append(tile);
    }
  }

  show(text, { quietly = false } = {}) {
    const wanted = text.toUpperCase().padEnd(this.#tiles.length).slice(0, this.#tiles.length);
    const former = this.#text;
    this.#text = wanted;
    this.#tiles.forEach((tile, i) => {
      if (wanted[i] === former[i]) return;
      if (quietly || still.matches || document.hidden) tile.textContent = wanted[i].trim();
      else this.#turn(tile, i);
    });
  }

  #turn(tile, i) {
    tile.animate(TURNING, { duration: TURN, delay: i * STAGGER });
    // Use the current text: a tile may be turned again before the animation ends.
    setTimeout(() => (tile.textContent = this.#text[i].trim()), i * STAGGER + TURN * EDGE);
  }
}
