#include "CKafka.h"

rd_kafka_resp_err_t ckafka_produce(
    rd_kafka_t *client,
    rd_kafka_topic_t *topic,
    const void *key,
    size_t key_count,
    const void *value,
    size_t value_count,
    rd_kafka_headers_t *headers,
    void *opaque
) {
    rd_kafka_vu_t parts[6];
    size_t count = 0;

    parts[count].vtype = RD_KAFKA_VTYPE_RKT;
    parts[count++].u.rkt = topic;
    parts[count].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
    parts[count++].u.i = RD_KAFKA_MSG_F_COPY;
    parts[count].vtype = RD_KAFKA_VTYPE_OPAQUE;
    parts[count++].u.ptr = opaque;
    if (key) {
        parts[count].vtype = RD_KAFKA_VTYPE_KEY;
        parts[count].u.mem.ptr = (void *)key;
        parts[count++].u.mem.size = key_count;
    }
    if (value) {
        parts[count].vtype = RD_KAFKA_VTYPE_VALUE;
        parts[count].u.mem.ptr = (void *)value;
        parts[count++].u.mem.size = value_count;
    }
    if (headers) {
        parts[count].vtype = RD_KAFKA_VTYPE_HEADERS;
        parts[count++].u.headers = headers;
    }

    rd_kafka_error_t *error = rd_kafka_produceva(client, parts, count);
    if (!error) return RD_KAFKA_RESP_ERR_NO_ERROR;
    // A refused message leaves its headers with the caller.
    if (headers) rd_kafka_headers_destroy(headers);
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return code;
}
