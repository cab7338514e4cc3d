// Nothing to call: this target exists for what it defines.
#pragma once
