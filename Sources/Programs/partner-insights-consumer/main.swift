import ReportConsumer

ReportConsumerProgram.main(.partnerInsights)
