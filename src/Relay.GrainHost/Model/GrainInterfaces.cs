using Orleans.Runtime;

namespace Orleans
{
    /// <summary>A grain that callers reach by reference. Implement one of the keyed forms.</summary>
    public interface IGrain : IAddressable;

    /// <summary>A grain whose key is a string.</summary>
    public interface IGrainWithStringKey : IGrain;

    /// <summary>A grain whose key is a <see cref="Guid"/>.</summary>
    public interface IGrainWithGuidKey : IGrain;

    /// <summary>A grain whose key is a 64-bit integer.</summary>
    public interface IGrainWithIntegerKey : IGrain;

    /// <summary>An object outside the grains that grains may call back, see <see cref="IGrainFactory.CreateObjectReference{T}"/>.</summary>
    public interface IGrainObserver : IAddressable;
}

namespace Orleans.Runtime
{
    /// <summary>Anything that can be called by reference: a grain or an observer.</summary>
    public interface IAddressable;
}
