// A test is a sentence and a block; a program of tests runs all of them.
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

/// Raises where a condition does not hold.
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

/// Runs tests; returns the status to end the program with.
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
