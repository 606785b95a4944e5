// The file that holds an invitation, and with it a secret key.
#pragma once

#include <sys/stat.h>

#include <fstream>
#include <string>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/invitation.hpp"

namespace headrace {

/// Returns the actor's invitation in a file.
///
/// Raises ConfigError: it cannot be read, other users can read it, or it is for another role.
inline Invitation load_invitation(const std::string& path) {
  struct stat facts{};
  std::ifstream file(path);
  std::string line;
  if (stat(path.c_str(), &facts) != 0 || !std::getline(file, line)) {
    throw ConfigError("cannot read the invitation " + path);
  }
  if ((facts.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    throw ConfigError(path + " holds a secret key, but other users can read it: chmod 600 " + path);
  }
  Invitation invitation = Invitation::parse(line);
  if (invitation.role != "actor") {
    throw ConfigError(path + " is an invitation for role " + invitation.role +
                      ": `headrace invite actor NAME` makes one for an actor");
  }
  return invitation;
}

}  // namespace headrace
