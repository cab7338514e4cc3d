// ECDSA on P-256 with raw signatures, as JWS uses it (RFC 7518 section 3.4).

#include "CCrypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <string.h>

enum { HALF = 32, POINT = 1 + 2 * HALF, DER_HALF = 2 + 1 + HALF, DER_MOST = 2 + 2 * DER_HALF };

/// The order n of the curve's base point.
static const uint8_t order[HALF] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

static const uint8_t zero[HALF];

static int is_in_range(const uint8_t half[HALF]) {
    return memcmp(half, zero, HALF) != 0 && memcmp(half, order, HALF) < 0;
}

/// Appends one half as a DER INTEGER, shortest form; returns the bytes written.
static size_t append_integer(uint8_t *out, const uint8_t half[HALF]) {
    size_t skip = 0;
    while (skip < HALF - 1 && half[skip] == 0) skip++;
    size_t pad = half[skip] >> 7;   // a set top bit would read as a negative number
    size_t length = HALF - skip + pad;
    out[0] = 0x02;
    out[1] = (uint8_t)length;
    out[2] = 0;
    memcpy(out + 2 + pad, half + skip, HALF - skip);
    return 2 + length;
}

static EVP_PKEY *from_parts(const uint8_t point[POINT], const BIGNUM *scalar) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (build == NULL || context == NULL
        || OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) != 1
        || OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, POINT) != 1
        || (scalar != NULL && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, scalar) != 1)) goto done;
    parameters = OSSL_PARAM_BLD_to_param(build);
    if (parameters == NULL || EVP_PKEY_fromdata_init(context) != 1) goto done;
    int selection = scalar == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR;
    if (EVP_PKEY_fromdata(context, &key, selection, parameters) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
done:
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    return key;
}

ccrypto_key *ccrypto_es256_public(const uint8_t x[32], const uint8_t y[32]) {
    ERR_clear_error();
    uint8_t point[POINT];
    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(point + 1, x, HALF);
    memcpy(point + 1 + HALF, y, HALF);
    EVP_PKEY *key = from_parts(point, NULL);
    ERR_clear_error();
    return (ccrypto_key *)key;
}

ccrypto_key *ccrypto_es256_generate(void) {
    ERR_clear_error();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    ERR_clear_error();
    return (ccrypto_key *)key;
}

ccrypto_key *ccrypto_es256_private(const uint8_t scalar[32]) {
    if (!is_in_range(scalar)) return NULL;
    ERR_clear_error();
    EVP_PKEY *key = NULL;
    uint8_t encoded[POINT];
    BIGNUM *number = BN_bin2bn(scalar, HALF, NULL);
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = group == NULL ? NULL : EC_POINT_new(group);
    if (number != NULL && point != NULL && EC_POINT_mul(group, point, number, NULL, NULL, NULL) == 1
        && EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, encoded, POINT, NULL) == POINT) {
        key = from_parts(encoded, number);
    }
    EC_POINT_free(point);
    EC_GROUP_free(group);
    BN_clear_free(number);
    ERR_clear_error();
    return (ccrypto_key *)key;
}

static int coordinate(const EVP_PKEY *key, const char *name, uint8_t out[HALF]) {
    BIGNUM *number = NULL;
    int result = EVP_PKEY_get_bn_param(key, name, &number) == 1 && BN_bn2binpad(number, out, HALF) == HALF;
    BN_free(number);
    return result;
}

int ccrypto_es256_coordinates(const ccrypto_key *key, uint8_t x[32], uint8_t y[32]) {
    ERR_clear_error();
    int result = coordinate((const EVP_PKEY *)key, OSSL_PKEY_PARAM_EC_PUB_X, x)
        && coordinate((const EVP_PKEY *)key, OSSL_PKEY_PARAM_EC_PUB_Y, y);
    ERR_clear_error();
    return result;
}

int ccrypto_es256_sign(const ccrypto_key *key, const uint8_t hash[32], uint8_t signature[64]) {
    ERR_clear_error();
    int result = 0;
    uint8_t der[DER_MOST];
    size_t length = sizeof der;
    ECDSA_SIG *parsed = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, (EVP_PKEY *)key, NULL);
    if (context != NULL && EVP_PKEY_sign_init(context) == 1
        && EVP_PKEY_sign(context, der, &length, hash, CCRYPTO_HASH_BYTES) == 1) {
        const uint8_t *cursor = der;
        parsed = d2i_ECDSA_SIG(NULL, &cursor, (long)length);
        result = parsed != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(parsed), signature, HALF) == HALF
            && BN_bn2binpad(ECDSA_SIG_get0_s(parsed), signature + HALF, HALF) == HALF;
    }
    ECDSA_SIG_free(parsed);
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return result;
}

int ccrypto_es256_verify(
    const ccrypto_key *key, const uint8_t hash[32], const uint8_t signature[64], unsigned long *reason) {
    *reason = 0;
    // Out of range is judged here: the library reports it as a plain mismatch but leaves errors behind,
    // and with both halves in range the DER below is well-formed, so "negative" can only mean a fault.
    if (!is_in_range(signature) || !is_in_range(signature + HALF)) return 0;
    uint8_t der[DER_MOST];
    size_t length = append_integer(der + 2, signature);
    length += append_integer(der + 2 + length, signature + HALF);
    der[0] = 0x30;
    der[1] = (uint8_t)length;

    ERR_clear_error();
    int result = -1;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, (EVP_PKEY *)key, NULL);
    if (context != NULL && EVP_PKEY_verify_init(context) == 1) {
        result = EVP_PKEY_verify(context, der, length + 2, hash, CCRYPTO_HASH_BYTES);
    }
    EVP_PKEY_CTX_free(context);
    if (result != 0 && result != 1) {
        *reason = ERR_peek_error();
        result = -1;
    }
    ERR_clear_error();
    return result;
}

void ccrypto_key_free(ccrypto_key *key) {
    EVP_PKEY_free((EVP_PKEY *)key);
}
