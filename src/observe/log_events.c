#include "observe/log_events.h"

#include <string.h>

struct log_event log_event_of(const char *name)
{
    static const struct log_event table[] = {
#define X(name, component, tag) {name, component, tag},
        LOG_EVENT_TABLE(X)
#undef X
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(table[i].name, name) == 0)
            return table[i];
    }
    return (struct log_event){name, LOG_GATEWAY, TAG_AUTO};
}

const char *log_tag_text(enum log_tag tag, enum log_severity severity)
{
    if (tag == TAG_AUTO)
        tag = severity == LOG_SEVERITY_ERROR  ? TAG_FAILURE
              : severity == LOG_SEVERITY_WARN ? TAG_FALLBACK
                                              : TAG_KEYS;
    switch (tag) {
    case TAG_SUCCESS: return "✅ [Enhanced OpenAI]";
    case TAG_FALLBACK: return "⚠️ [Enhanced OpenAI]";
    case TAG_FAILURE: return "❌ [Enhanced OpenAI]";
    case TAG_AUTO:
    case TAG_KEYS: break;
    }
    return "🔑 [OpenAI Key Manager]";
}
