/** The dynamics of Gymnasium's CartPole-v1: its constants, explicit Euler steps and endings. */

const GRAVITY = 9.8;
const POLE_MASS = 0.1;
const TOTAL_MASS = 1.0 + POLE_MASS;
const HALF_LENGTH = 0.5;
const POLE_MASS_LENGTH = POLE_MASS * HALF_LENGTH;
const FORCE = 10.0;
const STEP_S = 0.02;

const LARGEST_X = 2.4;
const LARGEST_ANGLE = (12 * 2 * Math.PI) / 360;
const LARGEST_START = 0.05;
const LONGEST_EPISODE = 500;

/** A cart that balances a pole; push it to the left (0) or to the right (1). */
export class CartPole {
  #random;
  #state = [0, 0, 0, 0];
  #t = 0;

  /** @param {() => number} random uniform in [0, 1) */
  constructor(random = Math.random) {
    this.#random = random;
  }

  /** Begins an episode, and returns its first observation. */
  reset() {
    this.restart(Array.from({ length: 4 }, () => (2 * this.#random() - 1) * LARGEST_START));
    return this.observation;
  }

  /**
   * Begins an episode from a given state.
   * @param {number[]} state position, velocity, angle in radians, angular velocity
   */
  restart(state) {
    this.#state = [...state];
    this.#t = 0;
  }

  /** Position, velocity, angle in radians, angular velocity; a new array each time. */
  get observation() {
    return Float32Array.from(this.#state);
  }

  /**
   * Takes an action for 0.02 simulated seconds.
   * @param {number} action 0 or 1
   */
  step(action) {
    const [x, velocity, angle, spin] = this.#state;
    const { acceleration, spinUp } = accelerations(action === 1 ? FORCE : -FORCE, angle, spin);
    this.#state = [
      x + STEP_S * velocity,
      velocity + STEP_S * acceleration,
      angle + STEP_S * spin,
      spin + STEP_S * spinUp,
    ];
    this.#t += 1;
    const terminated =
      Math.abs(this.#state[0]) > LARGEST_X || Math.abs(this.#state[2]) > LARGEST_ANGLE;
    const truncated = this.#t >= LONGEST_EPISODE;
    return { observation: this.observation, reward: 1, terminated, truncated };
  }
}

/**
 * @param {number} force
 * @param {number} angle
 * @param {number} spin
 */
function accelerations(force, angle, spin) {
  const cos = Math.cos(angle);
  const sin = Math.sin(angle);
  const push = (force + POLE_MASS_LENGTH * (spin * spin) * sin) / TOTAL_MASS;
  const inertia = HALF_LENGTH * (4.0 / 3.0 - (POLE_MASS * (cos * cos)) / TOTAL_MASS);
  const spinUp = (GRAVITY * sin - cos * push) / inertia;
  return { acceleration: push - (POLE_MASS_LENGTH * spinUp * cos) / TOTAL_MASS, spinUp };
}
