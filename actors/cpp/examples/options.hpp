// Command line options of the form `--name value`.
#pragma once

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

class Options {
 public:
  /// Prints the usage and exits with status 2 if the command line has another form.
  Options(int count, char** words, std::map<std::string, std::string> defaults)
      : values_(std::move(defaults)) {
    for (int at = 1; at < count; at += 2) {
      const std::string name = words[at];
      if (values_.count(name) == 0 || at + 1 == count) explain(words[0]);
      values_[name] = words[at + 1];
    }
  }

  const std::string& text(const std::string& name) const { return values_.at(name); }
  double number(const std::string& name) const { return std::stod(values_.at(name)); }
  std::uint64_t natural(const std::string& name) const { return std::stoull(values_.at(name)); }

 private:
  [[noreturn]] void explain(const char* program) const {
    std::cerr << "usage: " << program;
    for (const auto& [name, value] : values_) std::cerr << " [" << name << " " << value << "]";
    std::cerr << "\n";
    std::exit(2);
  }

  std::map<std::string, std::string> values_;
};
