/** Actions in the form of the simulator's action space: arrays for Tuples, objects for Dicts. */

/** @typedef {import("../wire/manifest.js").PolicyGraph} PolicyGraph */

const ROOT = "env_action";

/**
 * Returns an action whose leaves are what `leafOf` returns for the graph's outputs.
 * @param {PolicyGraph} spec
 * @param {(output: string, shape: number[]) => any} leafOf
 */
export function nestActions(spec, leafOf) {
  const leaves = spec.envActions;
  if (leaves === undefined) return leafOf(spec.envAction.name, spec.envAction.shape);
  const tuples = new Set(spec.actionTuples ?? []);

  /**
   * @param {string} path
   * @returns {any}
   */
  const nest = (path) => {
    const leaf = leaves.find(({ name }) => name === path);
    if (leaf !== undefined) return leafOf(path, leaf.shape);
    const below = leaves.map(({ name }) => name).filter((name) => name.startsWith(`${path}/`));
    const names = [...new Set(below.map((name) => name.slice(path.length + 1).split("/")[0]))];
    if (tuples.has(path)) return names.map((name) => nest(`${path}/${name}`));
    return Object.fromEntries(names.map((name) => [name, nest(`${path}/${name}`)]));
  };
  return nest(ROOT);
}
