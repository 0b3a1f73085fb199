namespace Relay.Policy;

/// <summary>
/// Equality of names without regard to the case of A–Z only.
/// SECURITY: Unicode case folding would make different people equal (U+017F folds to "s", U+212A to "k").
/// Safe for concurrent use.
/// </summary>
internal sealed class AsciiIgnoreCase : IEqualityComparer<string>
{
    public static readonly AsciiIgnoreCase Instance = new();

    public static char Fold(char c) => char.IsAsciiLetterUpper(c) ? (char)(c | 0x20) : c;

    public static bool Same(ReadOnlySpan<char> x, ReadOnlySpan<char> y)
    {
        if (x.Length != y.Length)
            return false;
        for (var i = 0; i < x.Length; i++)
        {
            if (x[i] != y[i] && Fold(x[i]) != Fold(y[i]))
                return false;
        }

        return true;
    }

    public bool Equals(string? x, string? y) => x is null || y is null ? ReferenceEquals(x, y) : Same(x, y);

    public int GetHashCode(string obj)
    {
        // HashCode is seeded per process, so a list of chosen names cannot aim at one bucket.
        var hash = default(HashCode);
        foreach (var c in obj)
            hash.Add(Fold(c));
        return hash.ToHashCode();
    }
}
