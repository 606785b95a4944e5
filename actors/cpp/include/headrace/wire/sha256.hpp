// SHA-256 (FIPS 180-4), which names policy frames.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "headrace/wire/arrays.hpp"

namespace headrace::detail {

/// The hash of the bytes that it is given block by block.
class Sha256 {
 public:
  static constexpr std::size_t block_bytes = 64;

  void add_block(const std::uint8_t* block) {
    const Schedule schedule = expand(block);
    auto [a, b, c, d, e, f, g, h] = state_;
    for (std::size_t round = 0; round < 64; ++round) {
      const std::uint32_t sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const std::uint32_t choice = (e & f) ^ (~e & g);
      const std::uint32_t first = h + sum1 + choice + constants[round] + schedule[round];
      const std::uint32_t sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const std::uint32_t majority = (a & b) ^ (a & c) ^ (b & c);
      h = g, g = f, f = e, e = d + first;
      d = c, c = b, b = a, a = first + sum0 + majority;
    }
    const State added{a, b, c, d, e, f, g, h};
    for (std::size_t word = 0; word < 8; ++word) state_[word] += added[word];
  }

  std::string hexadecimal() const {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint32_t word : state_) {
      for (int shift = 28; shift >= 0; shift -= 4) text += digits[(word >> shift) & 15U];
    }
    return text;
  }

 private:
  using State = std::array<std::uint32_t, 8>;
  using Schedule = std::array<std::uint32_t, 64>;

  static std::uint32_t rotate(std::uint32_t word, int bits) {
    return (word >> bits) | (word << (32 - bits));
  }

  static Schedule expand(const std::uint8_t* block) {
    Schedule words{};
    for (std::size_t at = 0; at < 16; ++at) {
      for (std::size_t byte = 0; byte < 4; ++byte)
        words[at] = words[at] << 8 | block[4 * at + byte];
    }
    for (std::size_t at = 16; at < 64; ++at) {
      const std::uint32_t near = words[at - 2];
      const std::uint32_t far = words[at - 15];
      words[at] = words[at - 16] + (rotate(far, 7) ^ rotate(far, 18) ^ far >> 3) + words[at - 7] +
                  (rotate(near, 17) ^ rotate(near, 19) ^ near >> 10);
    }
    return words;
  }

  static constexpr Schedule constants{
      0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
      0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
      0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
      0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
      0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
      0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
      0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
      0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
      0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
      0xc67178f2};

  State state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

/// Returns the SHA-256 of some bytes, as 64 hexadecimal digits.
inline std::string sha256(const Bytes& bytes) {
  Sha256 hash;
  std::size_t at = 0;
  for (; at + Sha256::block_bytes <= bytes.size(); at += Sha256::block_bytes) {
    hash.add_block(bytes.data() + at);
  }
  Bytes tail(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end());
  tail.push_back(0x80);
  while (tail.size() % Sha256::block_bytes != Sha256::block_bytes - 8) tail.push_back(0);
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) {
    tail.push_back(static_cast<std::uint8_t>(bits >> shift));
  }
  for (at = 0; at < tail.size(); at += Sha256::block_bytes) hash.add_block(tail.data() + at);
  return hash.hexadecimal();
}

}  // namespace headrace::detail
