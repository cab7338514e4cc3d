import ReportConsumer

ReportConsumerProgram.main(.incomeInsights)
