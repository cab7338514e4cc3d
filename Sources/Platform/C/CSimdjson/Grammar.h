// Shared by the files of this target only.
#pragma once

#include <cstddef>
#include <cstdint>

/// What the grammar scan says of a document that the parser could not read.
enum class Grammar { lawful, unlawful, too_deep };

/// Judges a document by RFC 8259's grammar alone; its encoding must have been found valid before.
/// `copy`: null, or a copy of the document that is changed in place (same length, token by token): what the
/// parser may not read is replaced by something of equal length that it does.
Grammar scan_grammar(const uint8_t *bytes, size_t count, uint8_t *copy);
