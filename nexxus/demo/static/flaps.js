/** Split-flap text: one tile per character, of which only those that change are turned. */

const STAGGER = 18; // ms between neighbouring tiles

/** A run of `length` tiles. `show` turns them to a text; it is cut or padded to fit. */
export class Flaps {
  #tiles = [];
  #text = "";

  constructor(length, kind) {
    this.element = document.createElement("span");
    this.element.className = `flaps ${kind}`;
    this.element.setAttribute("aria-hidden", "true");
    for (let i = 0; i < length; i += 1) {
      const tile = document.createElement("i");
      this.#tiles.push(tile);
      this.element.append(tile);
    }
  }

  show(text) {
    const wanted = text.toUpperCase().padEnd(this.#tiles.length).slice(0, this.#tiles.length);
    this.#tiles.forEach((tile, i) => {
      if (wanted[i] === this.#text[i]) return;
      if (wanted[i] === " " && (this.#text[i] ?? " ") === " ") return;
      turn(tile, wanted[i], i * STAGGER);
    });
    this.#text = wanted;
  }
}

function turn(tile, character, delay) {
  tile.dataset.next = character;
  tile.style.animationDelay = `${delay}ms`;
  tile.classList.remove("turning");
  void tile.offsetWidth; // restarts the animation of a tile that is still turning
  tile.classList.add("turning");
  // The character changes while the tile stands on edge, a third into its turn.
  setTimeout(() => (tile.textContent = tile.dataset.next.trim()), delay + 90);
}
