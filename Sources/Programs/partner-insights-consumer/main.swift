import PlaidAPI
import ReportConsumer

ReportConsumerProgram.main(.partnerInsights)
