#include "scaling/time_zone.h"

#include <algorithm>
#include <ctime>

#include "base/error.h"
#include "base/file_text.h"
#include "scaling/civil_day.h"

namespace workpool {
namespace {

constexpr char kDatabase[] = "/usr/share/zoneinfo/";
constexpr size_t kNameMax = 64;
// The largest of the database has 4 KiB.
constexpr size_t kFileMax = size_t{16} * 1024;

bool IsName(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
           c == '-' || c == '/';
  };
  return name.size() <= kNameMax && name.front() != '/' && std::all_of(name.begin(), name.end(), allowed);
}

// Big-endian numbers of a file that may be too short: then ok() is false, and they are 0.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  std::string_view Take(size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  uint64_t TakeNumber(size_t bytes) {
    uint64_t value = 0;
    for (const char c : Take(bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

// RFC 8536, 3.1.
struct Header {
  bool ok;
  char version;
  size_t utc_flags, standard_flags, leaps, times, types, letters;

  static Header Take(Bytes* bytes) {
    Header header{};
    header.ok = bytes->Take(4) == "TZif";
    header.version = static_cast<char>(bytes->TakeNumber(1));
    (void)bytes->Take(15);
    for (size_t* count :
         {&header.utc_flags, &header.standard_flags, &header.leaps, &header.times, &header.types, &header.letters}) {
      *count = bytes->TakeNumber(4);
      // No sum of these overflows.
      if (*count > kFileMax) header.ok = false;
    }
    return header;
  }
};

}  // namespace

Status TimeZone::Open(std::string_view name) {
  if (name.empty()) {
    tzset();
    process_ = true;
    return POOL_OK;
  }
  PosixZone rule;
  if (rule.Parse(name == "UTC" || name == "GMT" ? "UTC0" : name)) {
    process_ = false;
    changes_ = 0;
    has_rule_ = true;
    rule_ = rule;
    return POOL_OK;
  }
  if (!IsName(name)) {
    return Fail(POOL_E_INVALID,
                "zone '%.*s' is neither a name such as Europe/Berlin nor a rule such as "
                "CET-1CEST,M3.5.0,M10.5.0/3",
                static_cast<int>(std::min(name.size(), kNameMax)), name.data());
  }
  return ReadFile(name);
}

Status TimeZone::ReadFile(std::string_view name) {
  char path[sizeof(kDatabase) + kNameMax] = {};
  std::copy(name.begin(), name.end(), std::copy(kDatabase, kDatabase + sizeof(kDatabase) - 1, path));
  char bytes[kFileMax];
  std::string_view text;
  if (!workpool::ReadFile(path, bytes, sizeof(bytes), &text) || text.size() == sizeof(bytes) || !ReadBytes(text)) {
    return Fail(POOL_E_INVALID, "zone '%s' is not in %s", path + sizeof(kDatabase) - 1, kDatabase);
  }
  process_ = false;
  return POOL_OK;
}

// RFC 8536, version 2 and later: the second block has times of 64 bits, and a rule for what comes after them.
bool TimeZone::ReadBytes(std::string_view text) {
  Bytes bytes(text);
  const Header old = Header::Take(&bytes);
  if (!bytes.ok() || !old.ok || old.version < '2') return false;
  (void)bytes.Take(old.times * 5 + old.types * 6 + old.letters + old.leaps * 8 + old.standard_flags + old.utc_flags);
  const Header header = Header::Take(&bytes);
  if (!bytes.ok() || !header.ok || header.types == 0) return false;
  Bytes times(bytes.Take(header.times * 8));
  const std::string_view type_of = bytes.Take(header.times);
  const std::string_view types = bytes.Take(header.types * 6);
  (void)bytes.Take(header.letters + header.leaps * 12 + header.standard_flags + header.utc_flags);
  if (!bytes.ok()) return false;
  const auto offset_of = [&](size_t type) {
    return static_cast<int32_t>(static_cast<uint32_t>(Bytes(types.substr(type * 6)).TakeNumber(4)));
  };

  TimeZone zone;
  zone.change_at_s_[0] = INT64_MIN;
  zone.change_offset_s_[0] = offset_of(0);
  zone.changes_ = 1;
  const size_t skipped = header.times - std::min<size_t>(header.times, kChangesMax - 1);
  for (size_t i = 0; i < header.times; ++i) {
    const auto at_s = static_cast<int64_t>(times.TakeNumber(8));
    const auto type = static_cast<unsigned char>(type_of[i]);
    if (type >= header.types || at_s < zone.change_at_s_[zone.changes_ - 1]) return false;
    if (i < skipped) continue;
    zone.change_at_s_[zone.changes_] = at_s;
    zone.change_offset_s_[zone.changes_] = offset_of(type);
    ++zone.changes_;
  }
  std::string_view footer = bytes.rest();
  if (!footer.starts_with('\n')) return false;
  footer.remove_prefix(1);
  footer = footer.substr(0, footer.find('\n'));
  zone.has_rule_ = !footer.empty();
  if (zone.has_rule_ && !zone.rule_.Parse(footer)) return false;
  *this = zone;
  return true;
}

int64_t TimeZone::OffsetAt(int64_t utc_s) const {
  if (process_) {
    const auto at = static_cast<time_t>(utc_s);
    struct tm local;
    if (localtime_r(&at, &local) == nullptr) return 0;
    return static_cast<int64_t>(timegm(&local)) - utc_s;
  }
  if (has_rule_ && (changes_ == 0 || utc_s >= change_at_s_[changes_ - 1])) return rule_.OffsetAt(utc_s);
  const int64_t* after = std::upper_bound(change_at_s_, change_at_s_ + changes_, utc_s);
  return change_offset_s_[after - change_at_s_ - 1];
}

int64_t TimeZone::FirstAt(int64_t local_s) const {
  // No zone is farther from UTC than a day and a bit (RFC 8536: 26 hours).
  int64_t at_s = local_s - 2 * kDayS;
  for (;;) {
    const int64_t offset_s = OffsetAt(at_s);
    const int64_t missing_s = local_s - (at_s + offset_s);
    if (missing_s <= 0) return at_s;
    // As far as it is with this offset; if that changes on the way, on from there.
    int64_t same_s = at_s, other_s = at_s + missing_s;
    if (OffsetAt(other_s) == offset_s) return other_s;
    while (other_s - same_s > 1) {
      const int64_t middle_s = same_s + (other_s - same_s) / 2;
      (OffsetAt(middle_s) == offset_s ? same_s : other_s) = middle_s;
    }
    at_s = other_s;
  }
}

}  // namespace workpool
