import ReportConsumer

ReportConsumerProgram.main(.baseReport)
