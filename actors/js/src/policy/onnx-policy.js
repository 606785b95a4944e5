/** Acting with a policy graph in ONNX Runtime, on the CPU; SPEC.md, section 7. */

import { NdArray } from "../wire/arrays.js";
import { ConfigError, RemoteProtocolError } from "../wire/errors.js";
import { nestActions } from "./nested-actions.js";
import { observationRows } from "./observation-rows.js";

/** @typedef {import("../wire/manifest.js").PolicyGraph} PolicyGraph */
/** @typedef {import("../wire/trajectory.js").Row} Row */
/** @typedef {import("../wire/trajectory.js").Rows} Rows */
/** @typedef {import("onnxruntime-common").Tensor} Tensor */
/** @typedef {import("onnxruntime-common").InferenceSession} InferenceSession */
/** @typedef {typeof import("onnxruntime-common")} Runtime */
/** @typedef {Record<string, Tensor>} Tensors by name of an input */

const SESSION_OPTIONS = {
  executionProviders: ["cpu"],
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: /** @type {const} */ (3),
};
const RUNTIME = "onnxruntime-node";

/**
 * The output of a policy for one observation.
 * @typedef {object} Acted
 * @property {any} envAction for the simulator: a number where it is a scalar, else a row; nested,
 *   arrays and objects of these
 * @property {Rows} recorded columns to record besides observations and rewards
 * @property {Rows} observation in its recorded form
 * @property {Tensors} state for the next `act`
 */

/** One module's graph for one simulator; `setWeights` before the first `act`. */
export class OnnxPolicy {
  #runtime;
  #session;
  #spec;
  #random;
  #inputs;
  #outputs;
  /** @type {Tensors} weights and scalars, by input */
  #fixed = {};
  /** @type {Tensors} */
  #initialState = {};

  /**
   * Loads a graph.
   * @param {Uint8Array} graph
   * @param {PolicyGraph} spec
   * @param {() => number} [random] uniform in [0, 1)
   * @throws {ConfigError} the package onnxruntime-node is not installed
   * @throws {RemoteProtocolError} ONNX Runtime cannot load the graph
   */
  static async load(graph, spec, random = Math.random) {
    const runtime = await importRuntime();
    try {
      const session = await runtime.InferenceSession.create(graph, SESSION_OPTIONS);
      return new OnnxPolicy(runtime, session, spec, random);
    } catch (error) {
      throw new RemoteProtocolError(
        "invalid_policy",
        `ONNX Runtime cannot load the graph: ${error}`,
      );
    }
  }

  /**
   * @private use `load`
   * @param {Runtime} runtime
   * @param {InferenceSession} session
   * @param {PolicyGraph} spec
   * @param {() => number} random
   */
  constructor(runtime, session, spec, random) {
    this.#runtime = runtime;
    this.#session = session;
    this.#spec = spec;
    this.#random = random;
    // Inputs that are listed but not in the graph are unused.
    this.#inputs = new Set(session.inputNames);
    const states = spec.states.map((state) => stateOutput(state.name));
    const actions = (spec.envActions ?? [spec.envAction]).map(({ name }) => name);
    this.#outputs = [...new Set([...actions, ...spec.recorded.keys(), ...states])];
  }

  /**
   * Acts with these tensors from now on.
   * @param {Map<string, NdArray>} weights
   * @throws {RemoteProtocolError} a tensor of the graph is missing
   */
  setWeights(weights) {
    const missing = this.#spec.weights.filter(({ name }) => !weights.has(name));
    if (missing.length > 0) {
      const names = missing.map(({ name }) => name).join(", ");
      throw new RemoteProtocolError("invalid_policy", `weights without ${names}`);
    }
    this.#fixed = {};
    for (const [name, value] of this.#spec.scalars) this.#fixed[name] = this.#scalar(value);
    for (const { name } of this.#spec.weights) {
      const array = weights.get(name);
      if (array !== undefined) this.#fixed[name] = this.#tensor(array);
    }
    this.#initialState = {};
    for (const { name, dtype, shape } of this.#spec.states) {
      const first = weights.get(initialStateName(name)) ?? NdArray.zeros(dtype, shape);
      this.#initialState[name] = this.#tensor(
        new NdArray(first.dtype, [1, ...shape], first.values),
      );
    }
  }

  /** The state with which an episode begins. */
  get initialState() {
    return this.#initialState;
  }

  /**
   * Returns an action, sampled as the learner asks.
   * @param {unknown} observation of the simulator
   * @param {Tensors} state from the last `act`, or `initialState`
   * @param {number} reward of the last step; 0 at the start of an episode
   * @returns {Promise<Acted>}
   * @throws {ConfigError} the observation does not match the graph's inputs
   */
  async act(observation, state, reward) {
    const observed = this.#rowsOf(observation);
    const outputs = await this.#run(observed, state, reward);
    const { recorded, states } = this.#spec;
    const columns = [...recorded].map(([output, column]) => [column, rowOf(outputs[output])]);
    const isObservation = (/** @type {unknown} */ name) => /^obs(\/|$)/.test(String(name));
    const ofObservation = columns.filter(([column]) => isObservation(column));
    return {
      envAction: nestActions(this.#spec, (name, shape) => {
        const row = rowOf(outputs[name]);
        return shape.length === 0 ? Number(row[0]) : row;
      }),
      recorded: Object.fromEntries(columns.filter(([column]) => !isObservation(column))),
      observation: ofObservation.length > 0 ? Object.fromEntries(ofObservation) : rowsOf(observed),
      state: Object.fromEntries(states.map(({ name }) => [name, outputs[stateOutput(name)]])),
    };
  }

  /**
   * Returns an observation in its recorded form, without acting on it.
   * @param {unknown} observation
   * @param {Tensors} state
   * @param {number} reward
   * @returns {Promise<Rows>}
   */
  async observe(observation, state, reward) {
    const passes = [...this.#spec.recorded.values()].some((column) => /^obs(\/|$)/.test(column));
    if (!passes) return rowsOf(this.#rowsOf(observation));
    return (await this.act(observation, state, reward)).observation;
  }

  /** @param {unknown} observation */
  #rowsOf(observation) {
    const { observations, observationRanges } = this.#spec;
    return observationRows(observation, observations, observationRanges);
  }

  /**
   * @param {Map<string, NdArray>} observed
   * @param {Tensors} state
   * @param {number} reward
   */
  async #run(observed, state, reward) {
    /** @type {Tensors} */
    const feeds = { ...this.#fixed, ...state };
    for (const [name, array] of observed) feeds[name] = this.#tensor(array);
    if (this.#spec.takesReward) feeds.reward = this.#scalar(reward);
    if (this.#spec.noiseSize > 0) feeds.noise = this.#noise();
    const known = Object.entries(feeds).filter(([name]) => this.#inputs.has(name));
    return this.#session.run(Object.fromEntries(known), this.#outputs);
  }

  /** Returns numbers above 0 and below 1, drawn for each row. */
  #noise() {
    const { noiseSize } = this.#spec;
    const values = Float32Array.from({ length: noiseSize }, () => uniform(this.#random()));
    return this.#tensor(new NdArray("float32", [1, noiseSize], values));
  }

  /** @param {number} value */
  #scalar(value) {
    return this.#tensor(new NdArray("float32", [1], Float32Array.of(value)));
  }

  /** @param {NdArray} array */
  #tensor({ dtype, shape, values }) {
    const { Tensor } = this.#runtime;
    return new Tensor(/** @type {any} */ (dtype), /** @type {any} */ (values), [...shape]);
  }
}

/** @returns {Promise<Runtime>} */
async function importRuntime() {
  try {
    const imported = await import(RUNTIME);
    return imported.default ?? imported;
  } catch (error) {
    const help = `local inference needs the package ${RUNTIME}: npm install ${RUNTIME}`;
    throw new ConfigError(help, { cause: error });
  }
}

/** @param {Map<string, NdArray>} arrays */
function rowsOf(arrays) {
  return Object.fromEntries([...arrays].map(([name, array]) => [name, array.values]));
}

/**
 * @param {Tensor} tensor
 * @returns {ArrayLike<number | bigint>}
 */
function rowOf(tensor) {
  return /** @type {any} */ (tensor.data);
}

/** @param {number} value in [0, 1) */
function uniform(value) {
  const single = Math.fround(value);
  return single <= 0 || single >= 1 ? 0.5 : single;
}

/** @param {string} name `state/…` */
function stateOutput(name) {
  return name.replace(/^state/, "state_out");
}

/** @param {string} name `state/…` */
function initialStateName(name) {
  return name.replace(/^state/, "initial_state");
}
