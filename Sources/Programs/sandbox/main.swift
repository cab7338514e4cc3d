import PlaidSandbox

SandboxProgram.main()
