// What the product needs of OpenSSL's libcrypto, each job as one call.
//
// Every sequence lives here and not in Swift: OSSL_PARAM arrays hold pointers that must outlive the
// calls, several results have three meanings, and some inputs that OpenSSL accepts must be refused
// first. No OpenSSL type is visible. All functions may be called from any thread, and leave the calling
// thread's OpenSSL error queue empty. Sizes in bytes; curve is P-256, hash SHA-256, cipher AES-256-GCM.
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// A P-256 key, public or with its private half. Immutable once made, so threads share one freely.
typedef struct ccrypto_key ccrypto_key;
/// A running SHA-256. One thread at a time.
typedef struct ccrypto_sha256 ccrypto_sha256;
/// A keyed HMAC-SHA-256. Immutable once made: each call works on a copy.
typedef struct ccrypto_hmac ccrypto_hmac;

enum {
    CCRYPTO_HASH_BYTES = 32,
    CCRYPTO_COORDINATE_BYTES = 32,
    CCRYPTO_SIGNATURE_BYTES = 64,
    CCRYPTO_GCM_KEY_BYTES = 32,
    CCRYPTO_GCM_NONCE_BYTES = 12,
    CCRYPTO_GCM_TAG_BYTES = 16,
};

/// Fetches the algorithms (once for the process). 1, or 0 when this libcrypto lacks one of them.
int ccrypto_start(void);

/// The library's version line, as loaded at run time.
const char *ccrypto_version(void);

/// The code at the head of the calling thread's OpenSSL error queue; 0 when it is empty.
unsigned long ccrypto_pending_error(void);

/// 1, or 0 when the library failed.
int ccrypto_sha256_once(const uint8_t *data, size_t count, uint8_t hash[32]);

ccrypto_sha256 *ccrypto_sha256_new(void);
int ccrypto_sha256_update(ccrypto_sha256 *running, const uint8_t *data, size_t count);
int ccrypto_sha256_finish(ccrypto_sha256 *running, uint8_t hash[32]);
void ccrypto_sha256_free(ccrypto_sha256 *running);

ccrypto_hmac *ccrypto_hmac_new(const uint8_t *key, size_t count);
int ccrypto_hmac_once(const ccrypto_hmac *keyed, const uint8_t *data, size_t count, uint8_t tag[32]);
void ccrypto_hmac_free(ccrypto_hmac *keyed);

/// A public key from its affine coordinates, big-endian, exactly 32 bytes each. NULL when they are no
/// point of the curve. The encoded point is built here, so that OpenSSL never sees the infinity,
/// compressed and hybrid forms it would take.
ccrypto_key *ccrypto_es256_public(const uint8_t x[32], const uint8_t y[32]);

/// A fresh key pair; NULL when the library failed.
ccrypto_key *ccrypto_es256_generate(void);

/// A key pair from its private scalar, big-endian; NULL unless 1 <= scalar < n.
ccrypto_key *ccrypto_es256_private(const uint8_t scalar[32]);

/// Writes the public coordinates; 1 or 0.
int ccrypto_es256_coordinates(const ccrypto_key *key, uint8_t x[32], uint8_t y[32]);

/// Signs a hash: r then s, 32 bytes each, big-endian. 1 or 0.
int ccrypto_es256_sign(const ccrypto_key *key, const uint8_t hash[32], uint8_t signature[64]);

/// Judges a raw signature (r then s). 1: good. 0: bad, also when r or s is outside 1...n-1.
/// Negative: not decided, the library failed; `reason` then holds its error code (0 when it named none).
int ccrypto_es256_verify(
    const ccrypto_key *key, const uint8_t hash[32], const uint8_t signature[64], unsigned long *reason);

void ccrypto_key_free(ccrypto_key *key);

/// The library's words for an error code, always terminated.
void ccrypto_error_text(unsigned long code, char *text, size_t capacity);

/// Encrypts `count` bytes into `sealed` (count + 16: ciphertext, then the tag). 1 or 0.
/// The caller never uses one nonce twice with one key: the library would not notice.
int ccrypto_gcm_seal(
    const uint8_t key[32], const uint8_t nonce[12], const uint8_t *associated, size_t associated_count,
    const uint8_t *plaintext, size_t count, uint8_t *sealed);

/// Opens `count` bytes (at least 16: ciphertext, then the tag) into `plaintext` (count - 16).
/// 1: genuine. 0: not, and nothing of it is left in `plaintext`. Negative: the library failed, likewise.
int ccrypto_gcm_open(
    const uint8_t key[32], const uint8_t nonce[12], const uint8_t *associated, size_t associated_count,
    const uint8_t *sealed, size_t count, uint8_t *plaintext);

/// Fills from the system-seeded generator. 1 or 0.
int ccrypto_random(uint8_t *bytes, size_t count);

/// Compares without a data-dependent branch. 1 when equal.
int ccrypto_equal(const uint8_t *left, const uint8_t *right, size_t count);

/// Overwrites memory in a way no optimiser removes.
void ccrypto_wipe(void *bytes, size_t count);

#ifdef __cplusplus
}
#endif
