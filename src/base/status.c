#include "base/status.h"

const char *status_text(enum status status)
{
    switch (status) {
#define X(code, value, text)                                                                       \
    case code: return text;
        STATUS_TABLE(X)
#undef X
    }
    return "unknown status";
}
