// Moving a seat map: dragging with mouse or finger, pinching, the wheel. The page stays scrollable over a map that shows
// everything, and a wheel moves the page unless the map has the focus or the control key is down, which is also how pinching on
// a touchpad arrives.

// From so many pixels on, a press is a drag and no choice.
const SLOP = 8;

// `map` has zoom(factor, at), pan(dx, dy) and isWhole.
export function gestures(element, map) {
  const fingers = new Map();
  let travelled = 0;
  let dragged = false;
  const spread = () => {
    const [one, other] = [...fingers.values()];
    return {
      size: Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY),
      clientX: (one.clientX + other.clientX) / 2,
      clientY: (one.clientY + other.clientY) / 2,
    };
  };
  const place = ({ clientX, clientY }) => ({ clientX, clientY });

  element.addEventListener('pointerdown', (event) => {
    if (event.button > 0) return;
    if (!fingers.size) [travelled, dragged] = [0, false];
    fingers.set(event.pointerId, place(event));
  });
  element.addEventListener('pointermove', (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 2) {
      const was = spread();
      fingers.set(event.pointerId, place(event));
      const is = spread();
      dragged = true;
      map.pan(is.clientX - was.clientX, is.clientY - was.clientY);
      if (is.size > 0) map.zoom(was.size / is.size, is);
      return;
    }
    fingers.set(event.pointerId, place(event));
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    travelled += Math.hypot(dx, dy);
    if (travelled < SLOP) return;
    if (!dragged) {
      dragged = true;
      // From here on the pointer is the map's, also where it leaves it.
      element.setPointerCapture(event.pointerId);
    }
    if (!map.isWhole) map.pan(dx, dy);
  });
  const up = (event) => fingers.delete(event.pointerId);
  for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) element.addEventListener(name, up);
  element.addEventListener('pointerleave', (event) => { if (!dragged) up(event); });
  // What ends a drag chooses nothing.
  element.addEventListener('click', (event) => {
    if (!dragged) return;
    dragged = false;
    event.stopImmediatePropagation();
    event.preventDefault();
  }, { capture: true });
  element.addEventListener('wheel', (event) => {
    const wanted = event.ctrlKey || event.metaKey || element.contains(document.activeElement);
    if (!wanted || (map.isWhole && event.deltaY > 0)) return;
    event.preventDefault();
    map.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * (event.ctrlKey ? 0.01 : 0.005)), event);
  }, { passive: false });
}
