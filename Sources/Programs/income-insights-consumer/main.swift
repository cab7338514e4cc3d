import PlaidAPI
import ReportConsumer

ReportConsumerProgram.main(.incomeInsights)
