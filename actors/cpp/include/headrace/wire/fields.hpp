// One description of a message serves both ways.
//
// A struct that travels has `static void describe(Self& self, Fields& fields)`, which calls
// `fields.required` or `fields.defaulted` for each of its members, in the order of the wire.
// FieldWriter writes them; FieldReader reads and checks them.
#pragma once

#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "headrace/wire/errors.hpp"
#include "headrace/wire/identity.hpp"
#include "headrace/wire/msgpack_writer.hpp"
#include "headrace/wire/value.hpp"

namespace headrace::detail {

/// Writes the fields of one map.
class FieldWriter {
 public:
  template <class Field, class... Rules>
  void required(const char* name, const Field& field, const Rules&...) {
    ++count_;
    body_.text(name);
    write(field);
  }

  /// A field that may be left out is written nevertheless.
  template <class Field, class... Rules>
  void defaulted(const char* name, const Field& field, const Rules&... rules) {
    required(name, field, rules...);
  }

  /// A field that is left out where it has no value.
  template <class Field, class... Rules>
  void optional(const char* name, const std::optional<Field>& field, const Rules&... rules) {
    if (field) required(name, *field, rules...);
  }

  /// A field that is left out where it has its default.
  template <class Field>
  void unless(const char* name, const Field& field, const Field& usual) {
    if (field != usual) required(name, field);
  }

  /// A field that identifies the struct; it is read before the struct is chosen.
  template <class Constant>
  void constant(const char* name, const Constant& value) {
    required(name, value);
  }

  /// Returns the map.
  Bytes take() {
    MsgpackWriter whole;
    whole.map(count_);
    whole.append(body_.take());
    return whole.take();
  }

 private:
  void write(const std::string& text) { body_.text(text); }
  void write(const char* text) { body_.text(text); }
  void write(std::uint64_t number) { body_.natural(number); }
  void write(double number) { body_.real(number); }
  void write(bool value) { body_.boolean(value); }
  void write(RejectCode code) { body_.text(to_text(code)); }
  void write(DType dtype) { body_.text(dtype_name(dtype)); }
  void write(const Bytes& bytes) { body_.binary(bytes); }
  void write(const Value& value) { body_.value(value); }
  void write(const Map& map) { body_.value(map); }

  void write(const PolicyVersion& version) {
    body_.list(2);
    body_.natural(version.epoch);
    body_.natural(version.number);
  }

  template <class Field>
  void write(const std::optional<Field>& field) {
    field ? write(*field) : body_.nil();
  }

  template <class Member>
  void write(const std::vector<Member>& members) {
    body_.list(members.size());
    for (const Member& member : members) write(member);
  }

  template <class Member>
  void write(const std::map<std::string, Member>& members) {
    body_.map(members.size());
    for (const auto& [name, member] : members) {
      body_.text(name);
      write(member);
    }
  }

  template <class... Kinds>
  void write(const std::variant<Kinds...>& kinds) {
    std::visit([this](const auto& kind) { write(kind); }, kinds);
  }

  template <class Struct>
  void write(const Struct& value) {
    FieldWriter fields;
    Struct::describe(value, fields);
    body_.append(fields.take());
  }

  MsgpackWriter body_;
  std::size_t count_ = 0;
};

/// Reads the fields of one map; other keys are ignored.
///
/// All methods raise RemoteProtocolError if a field is missing or malformed.
class FieldReader {
 public:
  explicit FieldReader(const Map& map, RejectCode code = RejectCode::malformed)
      : map_(map), code_(code) {}

  template <class Field, class... Rules>
  void required(const char* name, Field& field, const Rules&... rules) {
    const Value* value = find(map_, name);
    if (value == nullptr) throw fault(name, "is missing");
    name_ = name;
    read(*value, field, rules...);
  }

  /// A field that keeps its value if the map does not have it.
  template <class Field, class... Rules>
  void defaulted(const char* name, Field& field, const Rules&... rules) {
    if (find(map_, name) != nullptr) required(name, field, rules...);
  }

  template <class Field, class... Rules>
  void optional(const char* name, std::optional<Field>& field, const Rules&... rules) {
    defaulted(name, field, rules...);
  }

  template <class Field>
  void unless(const char* name, Field& field, const Field&) {
    defaulted(name, field);
  }

  template <class Constant>
  void constant(const char*, const Constant&) {}

 private:
  RemoteProtocolError fault(const char* name, const std::string& what) const {
    return RemoteProtocolError(code_, "the field '" + std::string(name) + "' " + what);
  }

  template <class Held>
  const Held& held(const Value& value, const char* type) const {
    const Held* found = value.get_if<Held>();
    if (found == nullptr) throw fault(name_, std::string("is not ") + type);
    return *found;
  }

  void read(const Value& value, std::string& field, const TextRule& rule = {0, SIZE_MAX}) const {
    const auto& text = held<std::string>(value, "text");
    if (!rule.fits(text)) throw fault(name_, "is not text of the right form");
    field = text;
  }

  void read(const Value& value, std::uint64_t& field, const IntegerRule& rule = {}) const {
    const auto number = held<std::uint64_t>(value, "a non-negative integer");
    if (number < rule.least || number > rule.most) throw fault(name_, "is out of range");
    field = number;
  }

  void read(const Value& value, double& field) const {
    const auto number = value.number();
    if (!number) throw fault(name_, "is not a number");
    field = *number;
  }

  void read(const Value& value, double& field, const AboveZero&) const {
    read(value, field);
    if (!(field > 0.0)) throw fault(name_, "is not above 0");
  }

  void read(const Value& value, bool& field) const { field = held<bool>(value, "true or false"); }
  void read(const Value& value, Bytes& field) const { field = held<Bytes>(value, "binary"); }
  void read(const Value& value, Value& field) const { field = value; }
  void read(const Value& value, Map& field) const { field = held<Map>(value, "a map"); }

  void read(const Value& value, RejectCode& field) const {
    field = reject_code(held<std::string>(value, "text"));
  }

  void read(const Value& value, DType& field) const {
    const auto dtype = dtype_named(held<std::string>(value, "text"));
    if (!dtype) throw fault(name_, "is not the name of a dtype");
    field = *dtype;
  }

  void read(const Value& value, PolicyVersion& field) const {
    const auto& parts = held<List>(value, "a policy version");
    if (parts.size() != 2) throw fault(name_, "is not a policy version");
    read(parts[0], field.epoch, {0, max_epoch});
    read(parts[1], field.number, batch_count_rule);
  }

  template <class Field, class... Rules>
  void read(const Value& value, std::optional<Field>& field, const Rules&... rules) const {
    field.reset();
    if (!value.is_nil()) read(value, field.emplace(), rules...);
  }

  template <class Member, class... Rules>
  void read(const Value& value, std::vector<Member>& field, const Rules&... rules) const {
    for (const Value& member : held<List>(value, "a list")) {
      read(member, field.emplace_back(), rules...);
    }
  }

  template <class Member, class... Rules>
  void read(const Value& value, std::map<std::string, Member>& field, const Rules&... rules) const {
    for (const auto& [name, member] : held<Map>(value, "a map"))
      read(member, field[name], rules...);
  }

  /// One of several structs, identified by the field that `Kind::tag` names.
  template <class... Kinds>
  void read(const Value& value, std::variant<Kinds...>& field) const {
    const Map& map = held<Map>(value, "a map");
    const bool is_known = (read_if_tagged<Kinds>(value, map, field) || ...);
    if (!is_known) throw fault(name_, "is of an unknown kind");
  }

  template <class Kind, class Variant>
  bool read_if_tagged(const Value& value, const Map& map, Variant& field) const {
    const Value* tag = find(map, Kind::tag);
    const auto* text = tag == nullptr ? nullptr : tag->get_if<std::string>();
    if (text == nullptr || *text != Kind::kind) return false;
    read(value, field.template emplace<Kind>());
    return true;
  }

  template <class Struct>
  void read(const Value& value, Struct& field) const {
    FieldReader fields(held<Map>(value, "a map"), code_);
    Struct::describe(field, fields);
  }

  const Map& map_;
  RejectCode code_;
  const char* name_ = "";
};

}  // namespace headrace::detail
