// The libcrypto sequences: start, hashing, keyed hashing, randomness, comparison.
// Signatures are in ES256.c, sealing in GCM.c.

#include "CCrypto.h"
#include "Internal.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_once_t started = PTHREAD_ONCE_INIT;
static struct ccrypto_algorithms fetched;

static void fetch_all(void) {
    // Fetched for the life of the process; freeing them at exit would race with threads still hashing.
    fetched.sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    fetched.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    fetched.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ERR_clear_error();
}

const struct ccrypto_algorithms *ccrypto_algorithms(void) {
    pthread_once(&started, fetch_all);
    return &fetched;
}

int ccrypto_start(void) {
    const struct ccrypto_algorithms *all = ccrypto_algorithms();
    return all->sha256 != NULL && all->gcm != NULL && all->hmac != NULL;
}

const char *ccrypto_version(void) {
    return OpenSSL_version(OPENSSL_VERSION);
}

unsigned long ccrypto_pending_error(void) {
    return ERR_peek_error();
}

void ccrypto_error_text(unsigned long code, char *text, size_t capacity) {
    ERR_error_string_n(code, text, capacity);
}

// SHA-256

int ccrypto_sha256_once(const uint8_t *data, size_t count, uint8_t hash[32]) {
    ERR_clear_error();
    unsigned int written = 0;
    int result = EVP_Digest(data, count, hash, &written, ccrypto_algorithms()->sha256, NULL);
    ERR_clear_error();
    return result == 1 && written == CCRYPTO_HASH_BYTES;
}

ccrypto_sha256 *ccrypto_sha256_new(void) {
    ERR_clear_error();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestInit_ex2(context, ccrypto_algorithms()->sha256, NULL) != 1) {
        EVP_MD_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return (ccrypto_sha256 *)context;
}

int ccrypto_sha256_update(ccrypto_sha256 *running, const uint8_t *data, size_t count) {
    ERR_clear_error();
    int result = EVP_DigestUpdate((EVP_MD_CTX *)running, data, count);
    ERR_clear_error();
    return result == 1;
}

int ccrypto_sha256_finish(ccrypto_sha256 *running, uint8_t hash[32]) {
    ERR_clear_error();
    unsigned int written = 0;
    int result = EVP_DigestFinal_ex((EVP_MD_CTX *)running, hash, &written);
    ERR_clear_error();
    return result == 1 && written == CCRYPTO_HASH_BYTES;
}

void ccrypto_sha256_free(ccrypto_sha256 *running) {
    EVP_MD_CTX_free((EVP_MD_CTX *)running);
}

// HMAC-SHA-256

ccrypto_hmac *ccrypto_hmac_new(const uint8_t *key, size_t count) {
    ERR_clear_error();
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(ccrypto_algorithms()->hmac);
    char digest[] = "SHA2-256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    // An empty key must still be a key: NULL would mean "keep the one set before".
    static const uint8_t none = 0;
    if (context != NULL && EVP_MAC_init(context, count == 0 ? &none : key, count, parameters) != 1) {
        EVP_MAC_CTX_free(context);
        context = NULL;
    }
    ERR_clear_error();
    return (ccrypto_hmac *)context;
}

int ccrypto_hmac_once(const ccrypto_hmac *keyed, const uint8_t *data, size_t count, uint8_t tag[32]) {
    ERR_clear_error();
    size_t written = 0;
    EVP_MAC_CTX *copy = EVP_MAC_CTX_dup((const EVP_MAC_CTX *)keyed);
    int result = copy != NULL && EVP_MAC_update(copy, data, count) == 1
        && EVP_MAC_final(copy, tag, &written, CCRYPTO_HASH_BYTES) == 1 && written == CCRYPTO_HASH_BYTES;
    EVP_MAC_CTX_free(copy);
    ERR_clear_error();
    return result;
}

void ccrypto_hmac_free(ccrypto_hmac *keyed) {
    EVP_MAC_CTX_free((EVP_MAC_CTX *)keyed);
}

// Randomness, comparison, wiping

int ccrypto_random(uint8_t *bytes, size_t count) {
    ERR_clear_error();
    int result = count <= INT32_MAX && RAND_bytes(bytes, (int)count) == 1;
    ERR_clear_error();
    return result;
}

int ccrypto_equal(const uint8_t *left, const uint8_t *right, size_t count) {
    return CRYPTO_memcmp(left, right, count) == 0;
}

void ccrypto_wipe(void *bytes, size_t count) {
    OPENSSL_cleanse(bytes, count);
}
