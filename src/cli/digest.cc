#include "digest.h"

#include <openssl/evp.h>

#include <memory>
#include <stdexcept>

namespace workpool_cli {
namespace {

// Fetched once: OpenSSL 3 looks the algorithm up under a lock, which costs more than a small file's
// hash.
const EVP_MD* Sha256() {
  static EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

}  // namespace

Digest DigestOf(std::span<const std::byte> data) {
  Digest digest;
  unsigned int size = 0;
  if (Sha256() == nullptr ||
      EVP_Digest(data.data(), data.size(), digest.data(), &size, Sha256(), nullptr) != 1 ||
      size != digest.size()) {
    throw std::runtime_error("OpenSSL cannot compute SHA-256");
  }
  return digest;
}

}  // namespace workpool_cli
