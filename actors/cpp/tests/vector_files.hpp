// The files of test vectors: JSON with the frames of a message in hexadecimal.
#pragma once

#include <filesystem>
#include <fstream>
#include <headrace/wire/messages/headers.hpp>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>

inline headrace::Bytes from_hexadecimal(const std::string& text) {
  headrace::Bytes bytes;
  for (std::size_t at = 0; at < text.size(); at += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(text.substr(at, 2), nullptr, 16)));
  }
  return bytes;
}

/// Returns the frames under the key "frames"; nothing else in a vector is read.
inline headrace::Frames read_vector(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  const std::string json = text.str();
  const std::size_t begin = json.find("\"frames\"");
  const std::size_t end = json.find(']', begin);
  if (end == std::string::npos) throw std::runtime_error(path.string() + " has no frames");
  headrace::Frames frames;
  std::istringstream words(json.substr(json.find('[', begin) + 1, end - json.find('[', begin) - 1));
  for (std::string word; std::getline(words, word, '"');) {
    const bool is_frame = !word.empty() && word.find_first_of(" \n,") == std::string::npos;
    if (is_frame) frames.push_back(from_hexadecimal(word));
  }
  return frames;
}

/// Returns the frames of all vectors in a folder, by name: a kind, or `kind.what`.
inline std::map<std::string, headrace::Frames> read_vectors(const std::filesystem::path& folder) {
  std::map<std::string, headrace::Frames> vectors;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".json") {
      vectors[entry.path().stem().string()] = read_vector(entry.path());
    }
  }
  return vectors;
}
