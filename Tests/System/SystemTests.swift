// The built programs as real processes. One pipeline at a time: each is a dozen processes.

import Testing

@Suite(.serialized, .keepsLogs) struct SystemTests {}
