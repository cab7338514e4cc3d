import OperatorCommands

Checkctl.main()
