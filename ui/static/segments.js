// The recipe's own list of segments, and what can be done with it. Every change is a new list; nothing is repaired.
(() => {
  if (window.stepwise.segments) return;
  const ABSENT = { conditioning: "prompt", border: "continue" }; // what a choice means when it is absent
  const FLAGS = ["add_noise", "leftover_noise"];
  const OF_A_START = ["start", "add_noise", "noise_seed", "border", "steps", "scheduler", "shift"]; // stay with the first part of a split

  /** The list in a timeline's value; one empty segment where the run has no cuts. */
  function list(value) {
    try {
      const found = JSON.parse(value?.segments ?? "[]");
      return Array.isArray(found) && found.length ? found : [{}];
    } catch {
      return [{}];
    }
  }
  const text = (segments) => JSON.stringify(segments.length === 1 && !Object.keys(segments[0]).length ? [] : segments);

  /** Where each segment lies: {start, end, steps}, in steps of its own schedule of `steps`; `total` is the run's. */
  function places(segments, total) {
    let before = 0, schedule = total;
    return segments.map((segment, k) => {
      if (!k || segment.border === "restart") schedule = segment.steps ?? total;
      const start = segment.start ?? before;
      const end = Math.min(segment.end ?? schedule, schedule);
      before = end;
      return { start, end, steps: schedule };
    });
  }

  /** Whether a segment starts where the one before ends, so that one border stands for both. */
  const attached = (segments, k, total) => {
    const all = places(segments, total);
    return all[k].steps === all[k - 1].steps && all[k].start === all[k - 1].end;
  };

  function without(segment, names) {
    return Object.fromEntries(Object.entries(segment).filter(([name]) => !names.includes(name)));
  }

  /** Segment k ends at another step; the next one follows if it starts there. */
  function ended(segments, k, step, total) {
    const follows = k + 1 < segments.length && attached(segments, k + 1, total);
    return segments.map((segment, j) => {
      if (j === k) return { ...segment, end: step };
      return follows && j === k + 1 ? without(segment, ["start"]) : segment;
    });
  }
  const started = (segments, k, step) => segments.map((segment, j) => (j === k ? { ...segment, start: step } : segment));

  /** Segment k in two at a step: both as it was, so that the cut alone changes nothing. */
  function split(segments, k, step) {
    const first = { ...without(segments[k], ["leftover_noise"]), end: step };
    const second = without(segments[k], OF_A_START);
    return [...segments.slice(0, k), first, second, ...segments.slice(k + 1)];
  }

  /** Without segment k; the one before takes its steps, or the one after where it is the first. */
  function removed(segments, k, total) {
    const rest = segments.filter((_, j) => j !== k);
    if (k > 0) {
      const { end, leftover_noise } = segments[k];
      const last = without(rest[k - 1], ["end", "leftover_noise"]);
      rest[k - 1] = { ...last, ...(end === undefined ? {} : { end }), ...(leftover_noise === undefined ? {} : { leftover_noise }) };
    } else if (attached(segments, 1, total)) {
      rest[0] = without(rest[0], ["start"]);
      if (segments[0].start !== undefined) rest[0].start = segments[0].start;
    }
    return rest;
  }

  /** A timeline's value with one field of the chosen segment set; empty leaves it to the run. */
  function patched(value, name, field) {
    const segments = list(value);
    const chosen = Math.min(value.chosen, segments.length - 1);
    const left = field === null || field === "" || ABSENT[name] === field;
    const said = FLAGS.includes(name) ? field === "yes" : name === "loras" && !left ? JSON.parse(field) : field;
    const rest = without(segments[chosen], [name]);
    const next = segments.map((segment, k) => (k !== chosen ? segment : left ? rest : { ...rest, [name]: said }));
    return { segments: text(next), chosen, edited: name };
  }

  window.stepwise.segments = { list, text, places, attached, ended, started, split, removed, patched };
})();
