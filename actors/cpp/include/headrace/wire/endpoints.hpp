// The addresses of a broker that an actor connects to, and how users write them.
#pragma once

#include <array>
#include <map>
#include <regex>
#include <sstream>
#include <string>

#include "headrace/wire/errors.hpp"

namespace headrace {

inline constexpr const char* default_address = "tcp://127.0.0.1:5555";

/// The broker's endpoints that an actor connects to.
enum class Endpoint { ingest, control, weights };

/// The ZeroMQ endpoints of one broker.
class BrokerAddress {
 public:
  /// Returns the endpoints in `text`: `tcp://H:P` means four consecutive ports from P, and
  /// `ingest=…,control=…,weights=…,learner=…` names each, for NAT and port mappings.
  ///
  /// Raises ConfigError: the text is neither; the message shows both forms.
  static BrokerAddress parse(const std::string& text) {
    return text.find('=') == std::string::npos ? parse_base(text) : parse_named(text);
  }

  const std::string& endpoint(Endpoint endpoint) const {
    return endpoints_[static_cast<std::size_t>(endpoint)];
  }

 private:
  explicit BrokerAddress(std::array<std::string, 3> endpoints) : endpoints_(std::move(endpoints)) {}

  static BrokerAddress parse_base(const std::string& text) {
    static const std::regex form(R"(tcp://(\[[^\]]+\]|[^:\[\]]+):(\d{1,5}))");
    std::smatch match;
    if (!std::regex_match(text, match, form)) throw fault(text);
    const int port = std::stoi(match[2]);
    if (port == 0 || port + 3 > 65'535) throw fault(text);
    const std::string host = "tcp://" + match[1].str() + ":";
    return BrokerAddress({host + std::to_string(port), host + std::to_string(port + 1),
                          host + std::to_string(port + 2)});
  }

  static BrokerAddress parse_named(const std::string& text) {
    std::map<std::string, std::string> endpoint_by_name;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
      const std::size_t equals = part.find('=');
      if (equals == std::string::npos) throw fault(text);
      endpoint_by_name[part.substr(0, equals)] = part.substr(equals + 1);
    }
    for (const char* name : {"ingest", "control", "weights", "learner"}) {
      if (endpoint_by_name.count(name) == 0 || endpoint_by_name.size() != 4) throw fault(text);
    }
    return BrokerAddress(
        {endpoint_by_name["ingest"], endpoint_by_name["control"], endpoint_by_name["weights"]});
  }

  static ConfigError fault(const std::string& text) {
    return ConfigError("'" + text +
                       "' is not a broker's address: write one base address such as "
                       "tcp://127.0.0.1:5555 (four consecutive ports), or all four: "
                       "ingest=tcp://H:P,control=tcp://H:P,weights=tcp://H:P,learner=tcp://H:P");
  }

  std::array<std::string, 3> endpoints_;
};

}  // namespace headrace
