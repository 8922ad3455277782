#include "base/cgroup.h"

#include <cstdio>
#include <cstring>

#include "base/file_text.h"

namespace workpool {
namespace {

constexpr size_t kFileMax = 512;  // names of the files of /proc, with root before them

bool HasWord(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    if (TakeUntil(&list, ',') == word) return true;
  }
  return false;
}

bool IsOctal(char digit) { return digit >= '0' && digit <= '7'; }

// A text of mountinfo with its octal numbers replaced, in a place of fixed size.
class Unescaped {
 public:
  Unescaped(char* text, size_t size_max) : text_(text), size_max_(size_max) {}

  // False: no room, or no path.
  [[nodiscard]] bool Append(std::string_view escaped) {
    for (size_t i = 0; i < escaped.size(); ++i) {
      char byte = escaped[i];
      if (byte == '\\' && escaped.size() - i > 3 && IsOctal(escaped[i + 1]) && IsOctal(escaped[i + 2]) &&
          IsOctal(escaped[i + 3])) {
        byte = static_cast<char>((escaped[i + 1] - '0') * 64 + (escaped[i + 2] - '0') * 8 + (escaped[i + 3] - '0'));
        i += 3;
      }
      if (byte == 0 || size_ == size_max_) return false;
      text_[size_++] = byte;
    }
    return true;
  }

  [[nodiscard]] std::string_view text() const { return {text_, size_}; }

 private:
  char* const text_;
  const size_t size_max_;
  size_t size_ = 0;
};

// What of a group's path is below a mount's root; false: it is not below. Names that lead upwards are known when the
// reader's cgroup namespace is not the mount's; below them nothing can be found by name.
bool Below(std::string_view path, std::string_view mount_root, std::string_view* below) {
  if (mount_root == "/") mount_root = "";
  if (!path.starts_with(mount_root)) return false;
  path.remove_prefix(mount_root.size());
  if (path == "/") path = "";
  if (!path.empty() && path.front() != '/') return false;
  *below = path;
  for (std::string_view rest = path; !rest.empty();) {
    if (TakeUntil(&rest, '/') == "..") return false;
  }
  return path.find('\0') == std::string_view::npos;
}

// The path of the process's group.
bool FindPath(const char* root, std::string_view controller, char* text, size_t size_max, std::string_view* out) {
  char file[kFileMax];
  if (std::snprintf(file, sizeof(file), "%s/proc/self/cgroup", root) >= static_cast<int>(sizeof(file))) return false;
  LineReader lines(file);
  for (std::string_view line, path; lines.Next(&line);) {
    if (!ParseCgroupLine(line, controller, &path)) continue;
    if (path.size() > size_max) return false;
    std::memcpy(text, path.data(), path.size());
    *out = {text, path.size()};
    return true;
  }
  return false;
}

}  // namespace

bool CgroupDir::Up() {
  if (size <= top) return false;
  do {
    --size;
  } while (size > top && text[size] != '/');
  // Names are separated by more than one slash only by accident.
  while (size > top && text[size - 1] == '/') --size;
  text[size] = 0;
  return true;
}

bool CgroupDir::Read(std::string_view name, char* buffer, size_t bytes_max, std::string_view* out) {
  if (name.size() + 2 > kNameMax) return false;
  text[size] = '/';
  std::memcpy(text + size + 1, name.data(), name.size());
  text[size + 1 + name.size()] = 0;
  const bool read = ReadFile(text, buffer, bytes_max, out);
  text[size] = 0;
  return read;
}

bool ParseCgroupLine(std::string_view line, std::string_view controller, std::string_view* path) {
  const std::string_view id = TakeUntil(&line, ':');
  const std::string_view controllers = TakeUntil(&line, ':');
  if (line.empty() || line.front() != '/') return false;
  if (controller == kUnified ? id != "0" || !controllers.empty() : !HasWord(controllers, controller)) return false;
  *path = line;
  return true;
}

bool ParseMountLine(std::string_view line, std::string_view controller, CgroupMount* out) {
  for (int i = 0; i < 3; ++i) (void)TakeUntil(&line, ' ');  // id, parent, device
  const std::string_view root = TakeUntil(&line, ' ');
  const std::string_view point = TakeUntil(&line, ' ');
  if (root.empty() || root.front() != '/' || point.empty() || point.front() != '/') return false;
  // Options, and as many other words as there are, up to a lone dash.
  do {
    if (line.empty()) return false;
  } while (TakeUntil(&line, ' ') != "-");
  const std::string_view type = TakeUntil(&line, ' ');
  (void)TakeUntil(&line, ' ');  // source
  if (controller == kUnified ? type != "cgroup2" : type != "cgroup" || !HasWord(line, controller)) return false;
  *out = {root, point};
  return true;
}

CgroupView PlaceCgroup(const char* root, std::string_view path, const CgroupMount& mount, CgroupDir* out) {
  char mount_root[CgroupDir::kSizeMax];
  Unescaped top(mount_root, sizeof(mount_root));
  if (!top.Append(mount.root)) return CgroupView::kNone;
  const size_t root_size = std::strlen(root);
  if (root_size > CgroupDir::kSizeMax) return CgroupView::kNone;
  std::memcpy(out->text, root, root_size);
  Unescaped point(out->text + root_size, CgroupDir::kSizeMax - root_size);
  if (!point.Append(mount.point)) return CgroupView::kNone;
  out->top = root_size + (point.text() == "/" ? 0 : point.text().size());
  std::string_view below = "";
  CgroupView view = CgroupView::kBelow;
  if (!Below(path, top.text(), &below)) {
    below = "";
    view = CgroupView::kOutside;
  }
  while (below.ends_with('/')) below.remove_suffix(1);
  if (below.size() > CgroupDir::kSizeMax - out->top) return CgroupView::kNone;
  std::memcpy(out->text + out->top, below.data(), below.size());
  out->size = out->top + below.size();
  out->text[out->size] = 0;
  return view;
}

bool FindCgroup(const char* root, std::string_view controller, CgroupDir* out) {
  char path_text[CgroupDir::kSizeMax];
  std::string_view path;
  if (!FindPath(root, controller, path_text, sizeof(path_text), &path)) return false;
  char file[kFileMax];
  if (std::snprintf(file, sizeof(file), "%s/proc/self/mountinfo", root) >= static_cast<int>(sizeof(file))) return false;
  // The mount that shows most of the chain, the first of equals.
  CgroupView best = CgroupView::kNone;
  size_t best_root = 0;
  LineReader lines(file);
  CgroupMount mount;
  for (std::string_view line; lines.Next(&line);) {
    if (!ParseMountLine(line, controller, &mount)) continue;
    CgroupDir dir;
    const CgroupView view = PlaceCgroup(root, path, mount, &dir);
    if (view < best || view == CgroupView::kNone) continue;
    if (view == best && (view == CgroupView::kOutside || mount.root.size() >= best_root)) continue;
    best = view;
    best_root = mount.root.size();
    *out = dir;
    if (view == CgroupView::kBelow && mount.root == "/") break;  // nothing shows more
  }
  return best != CgroupView::kNone;
}

}  // namespace workpool
