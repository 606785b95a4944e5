// A pole on a cart, with the dynamics of Gymnasium's CartPole-v1.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

/// The result of a step.
struct CartPoleStep {
  double reward;
  bool terminated;
  bool truncated;
};

/// Position and velocity of the cart in metres, angle and angular velocity of the pole in radians.
class CartPole {
 public:
  explicit CartPole(std::uint64_t seed) : random_(seed) {}

  /// Begins an episode near the upright position.
  void reset() {
    std::uniform_real_distribution<double> near_zero(-0.05, 0.05);
    for (double& value : state_) value = near_zero(random_);
    steps_ = 0;
  }

  /// Begins an episode from a given state.
  void reset(const std::array<double, 4>& state) {
    state_ = state;
    steps_ = 0;
  }

  /// Pushes the cart for 0.02 s: 0 to the left, 1 to the right. After an episode's end, call
  /// `reset`.
  CartPoleStep step(std::int64_t action) {
    move(action == 1 ? force : -force);
    ++steps_;
    const bool has_fallen = std::abs(state_[0]) > x_limit || std::abs(state_[2]) > theta_limit;
    return {1.0, has_fallen, steps_ >= longest_episode};
  }

  std::vector<float> observation() const {
    std::vector<float> observed;
    for (const double value : state_) observed.push_back(static_cast<float>(value));
    return observed;
  }

  const std::array<double, 4>& state() const { return state_; }

 private:
  static constexpr double gravity = 9.8;
  static constexpr double pole_mass = 0.1;
  static constexpr double total_mass = pole_mass + 1.0;
  static constexpr double half_length = 0.5;
  static constexpr double pole_mass_length = pole_mass * half_length;
  static constexpr double force = 10.0;
  static constexpr double tau_s = 0.02;
  static constexpr double x_limit = 2.4;
  static constexpr double theta_limit = 12 * 2 * 3.141592653589793 / 360;
  static constexpr int longest_episode = 500;

  /// One step of the explicit Euler method.
  void move(double push) {
    auto& [x, x_dot, theta, theta_dot] = state_;
    const double cosine = std::cos(theta);
    const double sine = std::sin(theta);
    const double temp = (push + pole_mass_length * (theta_dot * theta_dot) * sine) / total_mass;
    const double theta_acceleration =
        (gravity * sine - cosine * temp) /
        (half_length * (4.0 / 3.0 - pole_mass * (cosine * cosine) / total_mass));
    const double x_acceleration =
        temp - pole_mass_length * theta_acceleration * cosine / total_mass;
    x = x + tau_s * x_dot;
    x_dot = x_dot + tau_s * x_acceleration;
    theta = theta + tau_s * theta_dot;
    theta_dot = theta_dot + tau_s * theta_acceleration;
  }

  std::mt19937_64 random_;
  std::array<double, 4> state_{};
  int steps_ = 0;
};
