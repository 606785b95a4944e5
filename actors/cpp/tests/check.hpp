// A test is a sentence and a function; a program runs all of its tests.
#pragma once

#include <exception>
#include <functional>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using Tests = std::vector<std::pair<std::string, std::function<void()>>>;

/// Raises unless a condition holds.
#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      throw std::runtime_error("line " + std::to_string(__LINE__) + ": not " #condition); \
    }                                                                                     \
  } while (false)

/// Raises unless `action` raises `Expected`.
template <class Expected>
void check_raises(const std::function<void()>& action) {
  try {
    action();
  } catch (const Expected&) {
    return;
  }
  throw std::runtime_error("nothing was raised");
}

/// Runs tests; returns the exit status of the program.
inline int run(const Tests& tests) {
  int failed = 0;
  for (const auto& [sentence, test] : tests) {
    try {
      test();
      std::cout << "passed: " << sentence << "\n";
    } catch (const std::exception& error) {
      ++failed;
      std::cout << "FAILED: " << sentence << ": " << error.what() << "\n";
    }
  }
  return failed == 0 ? 0 : 1;
}
