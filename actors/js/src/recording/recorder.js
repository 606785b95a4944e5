/** Assembles columnar trajectory batches from the steps of one simulator. */

import { randomBytes } from "node:crypto";

import { monotonicS } from "../connection/clock.js";
import { NdArray, sizeOf } from "../wire/arrays.js";
import { ConfigError, LocalProtocolError } from "../wire/errors.js";
import { DEFAULT_MODULE } from "../wire/manifest.js";
import { DEFAULT_AGENT, EPISODE_ID_BYTES, hasLastRow, UNENDED } from "../wire/trajectory.js";

/** @typedef {import("../wire/manifest.js").ColumnSpec} ColumnSpec */
/** @typedef {import("../wire/manifest.js").ModuleManifest} ModuleManifest */
/** @typedef {import("../wire/trajectory.js").Chunk} Chunk */
/** @typedef {import("../wire/trajectory.js").Row} Row */
/** @typedef {import("../wire/trajectory.js").Rows} Rows */
/** @typedef {import("../wire/trajectory.js").TrajectoryBatch} TrajectoryBatch */

/**
 * The result of a step.
 * @typedef {object} Outcome
 * @property {number} reward
 * @property {Rows} [final] the last observation, in its recorded form, if the episode ended
 * @property {boolean} [terminated]
 * @property {boolean} [truncated]
 */

/**
 * A chunk in the making: its steps, the context before them, and the last observation.
 * @typedef {object} Segment
 * @property {Chunk} chunk
 * @property {Rows[]} steps
 * @property {Rows} last
 */

/**
 * Call `record` after each step, and `takeBatch` whenever a batch should end; episodes continue
 * across batches. Each chunk includes up to `lookback` earlier steps of its episode, as in the
 * manifest. Rows are kept until their batch is taken: do not reuse them.
 */
export class Recorder {
  #columns;
  #lookback;
  #clock;
  /** @type {Segment[]} chunks of episodes that have ended since the last batch */
  #ended = [];
  #episode;

  /**
   * @param {ModuleManifest} module with the columns to record
   * @param {import("../connection/clock.js").Clock} [clock]
   */
  constructor(module, clock = monotonicS) {
    this.#columns = module.columns;
    this.#lookback = module.lookback;
    this.#clock = clock;
    this.#episode = new Episode(clock());
  }

  /** Env steps since the last batch. */
  get envSteps() {
    const steps = this.#ended.reduce((sum, { chunk }) => sum + chunk.length, 0);
    return steps + this.#episode.newSteps;
  }

  /** Forgets the open episode, and returns the number of its steps since the last batch. */
  dropEpisode() {
    const { newSteps } = this.#episode;
    this.#episode = new Episode(this.#clock());
    return newSteps;
  }

  /** Whether the next step is the first one of its episode. */
  get isAtStart() {
    return this.#episode.t === 0;
  }

  /**
   * Records one step.
   * @param {Rows} observation before the action, in its recorded form: `obs`, or each `obs/<path>`
   * @param {Rows} outputs `actions`, and the manifest's other columns
   * @param {Outcome} outcome
   * @throws {LocalProtocolError} the episode ended without a last observation
   */
  record(observation, outputs, { reward, final, terminated = false, truncated = false }) {
    const episode = this.#episode;
    episode.add({ ...outputs, ...observation, rewards: reward, env_t: episode.t }, reward);
    if (!terminated && !truncated) return;
    if (final === undefined) throw new LocalProtocolError("an episode that ends needs `final`");
    const seconds = this.#clock() - episode.startedAtS;
    this.#ended.push(episode.cut(final, { terminated, truncated, ...episode.totals(seconds) }));
    this.#episode = new Episode(this.#clock());
  }

  /**
   * Returns the steps since the last batch, and their number.
   * @param {Rows} observation before the next step, in its recorded form
   * @returns {{ batch: TrajectoryBatch, envSteps: number }}
   * @throws {LocalProtocolError} nothing was recorded
   * @throws {ConfigError} a column that the learner asks for was not recorded, or has another shape
   */
  takeBatch(observation) {
    const { envSteps } = this;
    if (envSteps === 0) throw new LocalProtocolError("a batch needs at least one step");
    const segments = [...this.#ended];
    if (this.#episode.newSteps > 0) segments.push(this.#episode.cut(observation, UNENDED));
    const chunks = segments.map((segment) => segment.chunk);
    const columns = new Map(this.#columns.map((spec) => [spec.name, columnOf(spec, segments)]));
    this.discardBatch();
    return { batch: new Map([[DEFAULT_MODULE, { chunks, columns }]]), envSteps };
  }

  /**
   * Discards the steps since the last batch, and returns their number. The episode continues: its
   * next chunk begins later than the last one ended.
   */
  discardBatch() {
    const { envSteps } = this;
    this.#ended = [];
    this.#episode.keep(this.#lookback);
    return envSteps;
  }
}

/** One episode: its steps since the last batch, and those before that are kept as context. */
class Episode {
  #id = randomBytes(EPISODE_ID_BYTES);
  /** @type {Rows[]} */
  #steps = [];
  #context = 0;
  #totalReward = 0;
  t = 0;

  /** @param {number} startedAtS */
  constructor(startedAtS) {
    this.startedAtS = startedAtS;
  }

  get newSteps() {
    return this.#steps.length - this.#context;
  }

  /**
   * @param {Rows} step
   * @param {number} reward
   */
  add(step, reward) {
    this.#steps.push(step);
    this.#totalReward += reward;
    this.t += 1;
  }

  /**
   * Returns the totals of the whole episode at its end.
   * @param {number} episodeS
   */
  totals(episodeS) {
    return { episodeLength: this.t, episodeReturn: this.#totalReward, episodeS };
  }

  /**
   * Makes a chunk of the steps since the last batch.
   * @param {Rows} last the observation after the last of them
   * @param {Omit<Chunk, "agent" | "episodeId" | "envTStarted" | "tStarted" | "length" | "lookback">} end
   * @returns {Segment}
   */
  cut(last, end) {
    const tStarted = this.t - this.newSteps;
    const chunk = {
      agent: DEFAULT_AGENT,
      episodeId: this.#id,
      envTStarted: tStarted,
      tStarted,
      length: this.newSteps,
      lookback: this.#context,
      ...end,
    };
    return { chunk, steps: this.#steps, last: { ...last, env_t: this.t } };
  }

  /**
   * Keeps only the last `lookback` steps, as context.
   * @param {number} lookback
   */
  keep(lookback) {
    this.#steps = lookback === 0 ? [] : this.#steps.slice(-lookback);
    this.#context = this.#steps.length;
  }
}

/**
 * Returns the rows of a column, one chunk after the other.
 * @param {ColumnSpec} spec
 * @param {Segment[]} segments
 */
function columnOf(spec, segments) {
  const rows = segments.flatMap(({ steps, last }) => {
    const values = steps.map((step) => step[spec.name]);
    return hasLastRow(spec.name) ? [...values, last[spec.name]] : values;
  });
  const array = NdArray.zeros(spec.dtype, [rows.length, ...spec.shape]);
  rows.forEach((row, index) => fillRow(array, index, row, spec));
  return array;
}

/**
 * @param {NdArray} array
 * @param {number} index
 * @param {Row | undefined} row
 * @param {ColumnSpec} spec
 */
function fillRow(array, index, row, spec) {
  if (row === undefined) {
    throw new ConfigError(`the learner asks for a column '${spec.name}' that was not recorded`);
  }
  const values = typeof row === "object" ? row : [row];
  const width = sizeOf(spec.shape);
  if (values.length !== width) {
    throw new ConfigError(
      `${values.length} values in a row of '${spec.name}'; the learner wants the shape ` +
        `[${spec.shape}]: do both use the same environment?`,
    );
  }
  const { values: target } = array;
  const isBig = target instanceof BigInt64Array || target instanceof BigUint64Array;
  const convert = isBig ? BigInt : Number;
  for (let at = 0; at < width; at += 1) target[index * width + at] = convert(values[at]);
}
