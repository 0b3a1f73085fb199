using System.Linq.Expressions;
using System.Reflection;
using Orleans;
using Orleans.Concurrency;
using Relay.GrainHost.Serialization;

namespace Relay.GrainHost.Types;

/// <summary>Describes the methods of an interface by reflection, once at start.</summary>
internal static class MethodBuilding
{
    /// <summary>A value tuple with more members nests, which the wire format does not know.</summary>
    public const int MaxParameters = 7;

    private static readonly Type[] s_tuples =
    [
        typeof(ValueTuple), typeof(ValueTuple<>), typeof(ValueTuple<,>), typeof(ValueTuple<,,>), typeof(ValueTuple<,,,>),
        typeof(ValueTuple<,,,,>), typeof(ValueTuple<,,,,,>), typeof(ValueTuple<,,,,,,>),
    ];

    /// <summary>All methods, those of base interfaces included, in an order of their own.</summary>
    public static IEnumerable<MethodInfo> MethodsOf(Type type) => type.GetInterfaces().Append(type)
        .SelectMany(t => t.GetMethods(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
        .Where(method => method.IsAbstract);

    public static bool IsToken(ParameterInfo parameter) => parameter.ParameterType == typeof(CancellationToken);

    public static Type TupleOf(Type[] parameters) => parameters.Length == 0 ? typeof(ValueTuple) : s_tuples[parameters.Length].MakeGenericType(parameters);

    /// <summary>What the method's task brings.</summary>
    public static Type ResultOf(MethodInfo method)
    {
        var type = method.ReturnType;
        if (type.IsGenericType && (type.GetGenericTypeDefinition() == typeof(Task<>) || type.GetGenericTypeDefinition() == typeof(ValueTask<>)))
            return type.GetGenericArguments()[0];
        return typeof(Nothing);
    }

    /// <exception cref="NotSupportedException">The method cannot be a grain method; the message says why.</exception>
    public static GrainMethod Describe(GrainInterface declaring, MethodInfo method, CodecRegistry codecs)
    {
        var returns = method.ReturnType;
        var isTask = returns == typeof(Task) || returns == typeof(ValueTask) || ResultOf(method) != typeof(Nothing);
        if (!isTask && !(returns == typeof(void) && declaring.IsObserver))
            throw new NotSupportedException($"{declaring.Type}.{method.Name} must return a Task or ValueTask.");
        if (method.IsGenericMethod) throw new NotSupportedException($"{declaring.Type}.{method.Name} must not be generic.");
        var parameters = method.GetParameters();
        var arguments = parameters.Where(p => !IsToken(p)).ToArray();
        if (arguments.Length > MaxParameters || parameters.Length - arguments.Length > 1 || arguments.Any(p => p.ParameterType.IsByRef))
            throw new NotSupportedException($"{declaring.Type}.{method.Name} must have at most {MaxParameters} parameters and one CancellationToken, none by reference.");
        var tuple = TupleOf([.. arguments.Select(p => p.ParameterType)]);
        return (GrainMethod)typeof(MethodBuilding).GetMethod(nameof(Build), BindingFlags.Static | BindingFlags.NonPublic)!
            .MakeGenericMethod(tuple, ResultOf(method))
            .Invoke(null, BindingFlags.DoNotWrapExceptions, null, [declaring, method, arguments, codecs], null)!;
    }

    private static GrainMethod<TArguments, TResult> Build<TArguments, TResult>(GrainInterface declaring, MethodInfo method, ParameterInfo[] arguments, CodecRegistry codecs)
        where TArguments : struct
    {
        var name = method.GetCustomAttributes<AliasAttribute>(false).FirstOrDefault()?.Alias ?? method.Name;
        var result = typeof(TResult) == typeof(Nothing) ? null : codecs.Get<TResult>();
        var timeout = method.GetCustomAttribute<ResponseTimeoutAttribute>()?.Timeout;
        if (timeout <= TimeSpan.Zero) throw new NotSupportedException($"{declaring.Type}.{method.Name}: the response timeout must be positive.");
        return new(declaring, name, Invoker<TArguments, TResult>(method), codecs.BuildArguments<TArguments>($"{declaring.Alias}.{name}"), result)
        {
            TakesToken = method.GetParameters().Any(IsToken),
            OneWay = method.ReturnType == typeof(void) || method.IsDefined(typeof(OneWayAttribute)),
            AlwaysInterleave = method.IsDefined(typeof(AlwaysInterleaveAttribute)),
            ReadOnly = method.IsDefined(typeof(ReadOnlyAttribute)),
            Timeout = timeout,
            CopyArguments = arguments.Any(p => !p.IsDefined(typeof(ImmutableAttribute)) && !codecs.Get(p.ParameterType).IsImmutable),
            CopyResult = result is not null && !result.IsImmutable && !method.ReturnParameter.IsDefined(typeof(ImmutableAttribute), false),
        };
    }

    /// <summary><c>(object target, tuple, token) =&gt; Adapt(((IInterface)target).Method(tuple.Item1, …, token))</c></summary>
    private static Func<object, TArguments, CancellationToken, ValueTask<TResult>> Invoker<TArguments, TResult>(MethodInfo method)
    {
        var target = Expression.Parameter(typeof(object), "target");
        var tuple = Expression.Parameter(typeof(TArguments), "arguments");
        var token = Expression.Parameter(typeof(CancellationToken), "token");
        var position = 0;
        Expression call = Expression.Call(
            Expression.Convert(target, method.DeclaringType!),
            method,
            method.GetParameters().Select(p => IsToken(p) ? (Expression)token : Expression.Field(tuple, $"Item{++position}")));
        Expression body = method.ReturnType == typeof(ValueTask<TResult>) ? call
            : method.ReturnType == typeof(Task<TResult>) ? Expression.New(typeof(ValueTask<TResult>).GetConstructor([typeof(Task<TResult>)])!, call)
            : method.ReturnType == typeof(void) ? Expression.Block(call, Expression.Default(typeof(ValueTask<TResult>)))
            : Expression.Call(typeof(MethodBuilding), nameof(WithoutResult), null, call);
        return Expression.Lambda<Func<object, TArguments, CancellationToken, ValueTask<TResult>>>(body, target, tuple, token).Compile();
    }

    private static ValueTask<Nothing> WithoutResult(Task task)
    {
        return task.IsCompletedSuccessfully ? default : Wait(task);

        static async ValueTask<Nothing> Wait(Task task)
        {
            await task;
            return default;
        }
    }

    private static ValueTask<Nothing> WithoutResult(ValueTask task)
    {
        return task.IsCompletedSuccessfully ? default : Wait(task);

        static async ValueTask<Nothing> Wait(ValueTask task)
        {
            await task;
            return default;
        }
    }
}
