namespace Relay.Policy;

/// <summary>Relay's own bounds on policy documents and requests; nothing outside asks for them.</summary>
public static class PolicyLimits
{
    /// <summary>Bytes of UTF-8 in a document: 256 KiB.</summary>
    public const int MaxDocumentBytes = 256 * 1024;

    /// <summary>Nesting of objects and arrays. The deepest valid document has 8.</summary>
    public const int MaxDepth = 16;

    /// <summary>Errors reported for one document; a last one says that there are more.</summary>
    public const int MaxErrors = 100;

    /// <summary>Entries of one list.</summary>
    public const int MaxListEntries = 5_000;

    /// <summary>Characters of one string that has no narrower bound.</summary>
    public const int MaxStringLength = 512;

    /// <summary>Characters of one pattern of <c>exec.commands</c>.</summary>
    public const int MaxCommandPatternLength = 1_024;

    /// <summary>Entries of <c>exec.commands</c>.</summary>
    public const int MaxCommandPatterns = 200;

    /// <summary>Characters of a command line that a pattern can match; a longer one matches none.</summary>
    public const int MaxCommandLineLength = 8 * 1024;

    /// <summary>366 days, the longest <c>max_session_duration_seconds</c>.</summary>
    public const int MaxSessionDurationSeconds = 366 * 24 * 3600;
}
