using System.Globalization;
using Orleans.Runtime;

namespace Orleans;

/// <summary>Identity and references, from inside and outside a grain.</summary>
public static class GrainExtensions
{
    /// <summary>The string key of a grain or of a reference to one.</summary>
    /// <exception cref="ArgumentException">Neither a grain nor a reference.</exception>
    public static string GetPrimaryKeyString(this IAddressable grain) => GetGrainId(grain).Key.ToString();

    /// <summary>The <see cref="Guid"/> key of an <see cref="IGrainWithGuidKey"/>.</summary>
    public static Guid GetPrimaryKey(this IAddressable grain) => Guid.ParseExact(GetPrimaryKeyString(grain), "N");

    /// <summary>The integer key of an <see cref="IGrainWithIntegerKey"/>.</summary>
    public static long GetPrimaryKeyLong(this IAddressable grain) =>
        long.Parse(GetPrimaryKeyString(grain), NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    /// <summary>The identity behind a grain or a reference to one.</summary>
    public static GrainId GetGrainId(this IAddressable grain) => AsReference(grain).GrainId;

    /// <summary>A reference that can be handed to others; never hand out <c>this</c>.</summary>
    public static TGrainInterface AsReference<TGrainInterface>(this IAddressable grain) =>
        AsReference(grain) is TGrainInterface reference
            ? reference
            : throw new ArgumentException($"The reference is no {typeof(TGrainInterface).Name}.", nameof(grain));

    private static GrainReference AsReference(IAddressable grain) => grain switch
    {
        GrainReference reference => reference,
        IGrainBase instance => instance.GrainContext.GrainReference,
        null => throw new ArgumentNullException(nameof(grain)),
        _ => throw new ArgumentException("Neither a grain nor a reference to one.", nameof(grain)),
    };
}
