// Prints the steps of the examples' cart-pole, for a comparison with Gymnasium's.
//
// Reads lines `x x_dot theta theta_dot action`; prints the state after that step, and whether the
// pole has fallen.

#include <iomanip>
#include <iostream>

#include "cart_pole.hpp"

int main() {
  CartPole cart_pole(0);
  std::array<double, 4> state{};
  std::int64_t action = 0;
  std::cout << std::setprecision(17);
  while (std::cin >> state[0] >> state[1] >> state[2] >> state[3] >> action) {
    cart_pole.reset(state);
    const CartPoleStep step = cart_pole.step(action);
    for (const double value : cart_pole.state()) std::cout << value << " ";
    std::cout << step.terminated << "\n";
  }
}
