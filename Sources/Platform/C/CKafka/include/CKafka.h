// librdkafka and its mock cluster, and the few calls that Swift cannot spell: unions and macros.
#pragma once

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stddef.h>

/// Queues one message for whatever partition the key decides, copying key, value and headers.
///
/// A NULL key or value is Kafka's null; an empty one is a pointer with a count of 0. `headers` may be NULL and is
/// consumed in every case. The partition is never given: with an explicit one, 2.0.2 frees the headers twice when
/// the partition does not exist.
///
/// Returns RD_KAFKA_RESP_ERR_NO_ERROR, after which exactly one delivery report carries `opaque`, or the refusal,
/// after which none does. Never blocks.
rd_kafka_resp_err_t ckafka_produce(
    rd_kafka_t *client,
    rd_kafka_topic_t *topic,
    const void *key,
    size_t key_count,
    const void *value,
    size_t value_count,
    rd_kafka_headers_t *headers,
    void *opaque
);
