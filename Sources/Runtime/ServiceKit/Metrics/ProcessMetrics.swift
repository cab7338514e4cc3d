// What every process says about itself: OpenTelemetry's names where there is one that Prometheus' lint accepts.

import Basics

enum ProcessMetrics {
    static func register(in registry: MetricsRegistry, clock: MonotonicClock = .system) {
        let start = clock.now()
        registry.collect("process_cpu_time_seconds_total", .counter, help: "Processor time used, by mode.") {
            let used = ProcessFacts.processorSeconds
            return [
                MetricsRegistry.Sample(used.user, labels: [("cpu_mode", "user")]),
                MetricsRegistry.Sample(used.system, labels: [("cpu_mode", "system")]),
            ]
        }
        registry.gauge("process_memory_usage_bytes", help: "Resident memory.") {
            ProcessSetup.residentBytes.map(Double.init)
        }
        registry.gauge("process_memory_virtual_bytes", help: "Virtual memory.") {
            ProcessFacts.virtualBytes.map(Double.init)
        }
        registry.gauge("process_uptime_seconds", help: "Time since the process started.") {
            (clock.now() - start).inSeconds
        }
        registry.gauge("check_pipeline_process_threads", help: "Threads of this process.") {
            Double(ProcessSetup.threadCount)
        }
        registry.gauge("check_pipeline_process_open_files", help: "Open file descriptors.") {
            Double(ProcessSetup.openFileCount)
        }
        registry.gauge("check_pipeline_process_open_files_limit", help: "Soft limit of open file descriptors.") {
            Double(ProcessFacts.openFileLimit)
        }
    }
}
