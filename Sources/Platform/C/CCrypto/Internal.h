// Shared by the files of this target only.
#pragma once

#include <openssl/evp.h>

/// The fetched algorithms; a member is NULL when this libcrypto lacks it, and every use then fails.
struct ccrypto_algorithms {
    EVP_MD *sha256;
    EVP_CIPHER *gcm;
    EVP_MAC *hmac;
};

const struct ccrypto_algorithms *ccrypto_algorithms(void);
