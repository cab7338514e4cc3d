// The version of the linked library, for `--version` and the start-up log line.

import CPostgres

func libpqVersion() -> String {
    let number = PQlibVersion()
    return "\(number / 10_000).\(number % 10_000)"
}
