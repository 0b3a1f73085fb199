namespace Relay.Policy;

/// <summary>"Did you mean": the known word nearest to a mistyped one.</summary>
internal static class Suggestion
{
    private const int MaxWordLength = 48;

    /// <summary>" Did you mean X?" or, when nothing is near, " Known: …".</summary>
    public static string For(string word, ReadOnlySpan<string> known)
    {
        var best = "";
        var bestDistance = int.MaxValue;
        if (word.Length <= MaxWordLength)
        {
            var plain = Plain(word);
            foreach (var candidate in known)
            {
                var distance = Distance(plain, Plain(candidate));
                if (distance < bestDistance && distance <= Math.Max(1, candidate.Length / 3))
                {
                    best = candidate;
                    bestDistance = distance;
                }
            }
        }

        if (best.Length > 0)
            return $" Did you mean \"{best}\"?";
        return known.IsEmpty ? "" : $" Known: {string.Join(", ", known!)}.";
    }

    private static string Plain(string word) => new([.. word.Where(char.IsLetterOrDigit).Select(AsciiIgnoreCase.Fold)]);

    // Levenshtein with one row.
    private static int Distance(string a, string b)
    {
        Span<int> row = stackalloc int[MaxWordLength + 1];
        if (b.Length > MaxWordLength)
            return int.MaxValue;
        for (var j = 0; j <= b.Length; j++)
            row[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(substituted, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
