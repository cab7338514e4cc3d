// AES-256-GCM, one context per message. Nonce 12 bytes and tag 16 always: the library takes short tags,
// and a nonce length given as a parameter has been cut silently before (CVE-2023-5363).

#include "CCrypto.h"
#include "Internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdlib.h>

/// The EVP calls count in `int`; a stored secret is never near this.
static int fits(size_t count) {
    return count <= (1u << 30);
}

int ccrypto_gcm_seal(
    const uint8_t key[32], const uint8_t nonce[12], const uint8_t *associated, size_t associated_count,
    const uint8_t *plaintext, size_t count, uint8_t *sealed) {
    if (!fits(count) || !fits(associated_count)) return 0;
    ERR_clear_error();
    int written = 0, rest = 0, skipped = 0;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int result = context != NULL && EVP_EncryptInit_ex2(context, ccrypto_algorithms()->gcm, key, nonce, NULL) == 1
        && (associated_count == 0
            || EVP_EncryptUpdate(context, NULL, &skipped, associated, (int)associated_count) == 1)
        && (count == 0 || EVP_EncryptUpdate(context, sealed, &written, plaintext, (int)count) == 1)
        && EVP_EncryptFinal_ex(context, sealed + written, &rest) == 1 && (size_t)(written + rest) == count
        && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, CCRYPTO_GCM_TAG_BYTES, sealed + count) == 1;
    EVP_CIPHER_CTX_free(context);
    ERR_clear_error();
    return result;
}

int ccrypto_gcm_open(
    const uint8_t key[32], const uint8_t nonce[12], const uint8_t *associated, size_t associated_count,
    const uint8_t *sealed, size_t count, uint8_t *plaintext) {
    if (count < CCRYPTO_GCM_TAG_BYTES) return 0;
    if (!fits(count) || !fits(associated_count)) return -1;
    size_t text = count - CCRYPTO_GCM_TAG_BYTES;
    ERR_clear_error();
    int written = 0, rest = 0, skipped = 0, result = -1;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    if (context != NULL && EVP_DecryptInit_ex2(context, ccrypto_algorithms()->gcm, key, nonce, NULL) == 1
        && (associated_count == 0
            || EVP_DecryptUpdate(context, NULL, &skipped, associated, (int)associated_count) == 1)
        && (text == 0 || EVP_DecryptUpdate(context, plaintext, &written, sealed, (int)text) == 1)
        && EVP_CIPHER_CTX_ctrl(
               context, EVP_CTRL_AEAD_SET_TAG, CCRYPTO_GCM_TAG_BYTES, (void *)(sealed + text)) == 1) {
        result = EVP_DecryptFinal_ex(context, plaintext + written, &rest) == 1 && (size_t)(written + rest) == text;
    }
    EVP_CIPHER_CTX_free(context);
    // The text was written before the tag was judged.
    if (result != 1) OPENSSL_cleanse(plaintext, text);
    ERR_clear_error();
    return result;
}
